-- The optimizer's estimate of all rows; reads no row.
EXPLAIN SELECT id FROM `{ns}_task`
