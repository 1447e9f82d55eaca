-- The last migration that was applied, and the oldest schema version whose library works with all that were; 0 and 0 if none was.
-- 1146: there is no schema. 1054: it is older than the first release.
SELECT COALESCE(MAX(version), 0), COALESCE(MAX(compatible), 0) FROM `{ns}_migration`
