-- Inserts tasks. 1062: an id exists (key id); nothing was inserted.
INSERT INTO `{ns}_task` (next_ms, id, due_ms, ver, attempt, created_ms, headers, payload) VALUES {rows}
