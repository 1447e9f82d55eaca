-- Counts rows up to a limit. Index: id, by force, because MariaDB takes PRIMARY, which has the payloads in it.
SELECT COUNT(*) FROM (SELECT 1 FROM `{ns}_task` FORCE INDEX (id) LIMIT ?) t
