-- The optimizer's estimate of all rows; reads no row.
EXPLAIN FORMAT=TRADITIONAL SELECT id FROM `{ns}_task`
