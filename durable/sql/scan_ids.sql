-- One page of the rows whose ids lie in a range, after an id, and that are next offered within a time, long payloads left out with their
-- headers. Index: id, by force, as one range: without it the servers may sort what they read. The caller bounds the range where the
-- time leaves out rows.
SELECT next_ms, id, due_ms, ver, attempt, created_ms, prev_ver,
  CASE WHEN LENGTH(payload) <= ? THEN payload END,
  CASE WHEN headers IS NOT NULL AND COALESCE(LENGTH(payload), 0) + LENGTH(headers) <= ? THEN headers END,
  COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(headers), 0), expires_ms
FROM `{ns}_task` FORCE INDEX (id) WHERE id >= ? AND id > ? AND id < ? AND next_ms >= ? AND next_ms < ? ORDER BY id LIMIT ?
