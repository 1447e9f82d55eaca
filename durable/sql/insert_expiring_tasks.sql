-- The same as insert_tasks.sql, of rows of which some expire.
INSERT INTO `{ns}_task` (next_ms, id, due_ms, ver, attempt, created_ms, headers, payload, expires_ms) VALUES {rows}
