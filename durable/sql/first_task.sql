-- When the first row is due that stands in a range of due times. Reads the dead rows before it, for 1 s at most: 3024, and 1969 on
-- MariaDB. Index: PRIMARY, by force, as a range: of a table whose rows are nearly all dead the servers read the index from its
-- start if it has all that is asked for, and created_ms is not in it.
/*M!100100 SET STATEMENT max_statement_time = 1 FOR */ SELECT /*+ MAX_EXECUTION_TIME(1000) */ next_ms, created_ms
FROM `{ns}_task` FORCE INDEX (PRIMARY) WHERE next_ms >= ? AND next_ms < ? ORDER BY next_ms, id LIMIT 1
