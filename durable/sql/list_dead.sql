-- One page of dead letters after a cursor, in the order in which they died, long payloads left out with their headers. Index: PRIMARY,
-- three ranges, for the reason that scan_tasks.sql gives.
SELECT dead_ms, id, ver, due_ms, created_ms, COALESCE(expires_ms, 0), attempt, reason, last_error,
  COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(headers), 0) AS size,
  CASE WHEN COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(headers), 0) <= ? THEN headers END,
  CASE WHEN COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(headers), 0) <= ? THEN payload END
FROM `{ns}_dead` FORCE INDEX (PRIMARY)
WHERE ((dead_ms = ? AND id = ? AND ver > ?) OR (dead_ms = ? AND id > ?) OR dead_ms > ?) AND dead_ms < ? ORDER BY dead_ms, id, ver LIMIT ?
