-- Counts rows up to a limit. Index: the smallest, id.
SELECT COUNT(*) FROM (SELECT 1 FROM `{ns}_task` LIMIT ?) t
