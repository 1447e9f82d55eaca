-- Counts rows from a due time on, up to a limit. Index: PRIMARY, by force, as a range: dead rows before that time are not read.
-- created_ms is there for the reason that first_task.sql gives.
SELECT COUNT(*) FROM (SELECT created_ms FROM `{ns}_task` FORCE INDEX (PRIMARY) WHERE next_ms >= ? LIMIT ?) t
