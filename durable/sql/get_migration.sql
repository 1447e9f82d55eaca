-- The last migration that was applied, 0 if none. 1146: none ever was.
SELECT COALESCE(MAX(version), 0) FROM `{ns}_migration`
