-- The same in the order of ids, below an id. Index: id, by force, two ranges.
SELECT dead_ms, id, ver, due_ms, created_ms, COALESCE(expires_ms, 0), attempt, reason, last_error,
  COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(headers), 0) AS size,
  CASE WHEN COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(headers), 0) <= ? THEN headers END,
  CASE WHEN COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(headers), 0) <= ? THEN payload END
FROM `{ns}_dead` FORCE INDEX (id)
WHERE ((id = ? AND ver > ?) OR id > ?) AND id < ? ORDER BY id, ver LIMIT ?
