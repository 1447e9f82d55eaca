-- Counts dead letters, up to a limit. Index: id, by force, alone.
SELECT COUNT(*) FROM (SELECT id FROM `{ns}_dead` FORCE INDEX (id) LIMIT ?) t
