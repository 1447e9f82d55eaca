-- One page of rows before a cursor, the last of them first, long payloads left out with their headers. Index: PRIMARY, two ranges, as
-- scan_tasks.sql says, read backwards.
SELECT next_ms, id, due_ms, ver, attempt, created_ms, prev_ver,
  CASE WHEN LENGTH(payload) <= ? THEN payload END,
  CASE WHEN headers IS NOT NULL AND COALESCE(LENGTH(payload), 0) + LENGTH(headers) <= ? THEN headers END,
  COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(headers), 0), expires_ms
FROM `{ns}_task` WHERE ((next_ms = ? AND id < ?) OR next_ms < ?) AND next_ms >= ? ORDER BY next_ms DESC, id DESC LIMIT ?
