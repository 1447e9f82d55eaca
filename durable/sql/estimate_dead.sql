-- The optimizer's estimate of all dead letters; reads no row.
EXPLAIN FORMAT=TRADITIONAL SELECT id FROM `{ns}_dead`
