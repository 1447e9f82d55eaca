-- Looks at some rows after a cursor: how many there are, how many of them are not next offered at a time, and the last of them, as one
-- value that begins with its time in 20 digits. Index: PRIMARY, by force, two ranges, for the reason that scan_tasks.sql gives.
-- created_ms is there for the reason that first_task.sql gives.
SELECT COUNT(*), COALESCE(SUM(next_ms <> ?), 0), COALESCE(MAX(CONCAT(LPAD(next_ms, 20, '0'), id)), '')
FROM (SELECT next_ms, id, created_ms FROM `{ns}_task` FORCE INDEX (PRIMARY)
  WHERE ((next_ms = ? AND id > ?) OR next_ms > ?) AND next_ms < ? ORDER BY next_ms, id LIMIT ?) t
