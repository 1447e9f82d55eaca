-- Inserts tasks. 1062: an id exists (key id); nothing was inserted.
INSERT INTO `{ns}_task` (due_ms, id, exec_ms, ver, attempt, created_ms, payload) VALUES {rows}
