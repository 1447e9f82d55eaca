-- One page of rows after a cursor, long payloads left out with their headers. Index: PRIMARY, two ranges: the rest of the cursor's millisecond
-- and what lies above it. (next_ms >= ? AND (next_ms > ? OR id > ?) reads that millisecond from its start for each page, which
-- takes n*n/2000 rows for n tasks of one millisecond; the row constructor (next_ms, id) > (?, ?) reads the whole table on 5.6.)
SELECT next_ms, id, due_ms, ver, attempt, created_ms, prev_ver,
  CASE WHEN LENGTH(payload) <= ? THEN payload END,
  CASE WHEN headers IS NOT NULL AND COALESCE(LENGTH(payload), 0) + LENGTH(headers) <= ? THEN headers END,
  COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(headers), 0), expires_ms
FROM `{ns}_task` WHERE ((next_ms = ? AND id > ?) OR next_ms > ?) AND next_ms < ? ORDER BY next_ms, id LIMIT ?
