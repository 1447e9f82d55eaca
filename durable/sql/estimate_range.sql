-- The optimizer's estimate of the rows of a range of due times; reads a few pages. Index: PRIMARY, but not by force: MySQL 8.0 and
-- later do not look into an index that a statement forces.
EXPLAIN FORMAT=TRADITIONAL SELECT created_ms FROM `{ns}_task` WHERE next_ms >= ? AND next_ms < ?
