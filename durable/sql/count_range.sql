-- Counts the rows of a range of due times, up to a limit. Index: PRIMARY, by force, as a range.
-- created_ms is there for the reason that first_task.sql gives.
SELECT COUNT(*) FROM (SELECT created_ms FROM `{ns}_task` FORCE INDEX (PRIMARY) WHERE next_ms >= ? AND next_ms < ? LIMIT ?) t
