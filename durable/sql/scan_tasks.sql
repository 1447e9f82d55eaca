-- One page of rows after a cursor, long payloads left out. Index: PRIMARY, a range from a known low bound (the keyset is
-- written out: the row constructor (due_ms, id) > (?, ?) reads the whole table on 5.6 and is 12-15 times slower elsewhere).
SELECT due_ms, id, exec_ms, ver, attempt, created_ms, CASE WHEN LENGTH(payload) <= ? THEN payload END, COALESCE(LENGTH(payload), 0)
FROM `{ns}_task` WHERE due_ms >= ? AND due_ms < ? AND (due_ms > ? OR id > ?) ORDER BY due_ms, id LIMIT ?
