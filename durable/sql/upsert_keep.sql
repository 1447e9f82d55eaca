-- Inserts tasks, and changes nothing of those whose ids exist: it locks them until the transaction ends. Index: id, by which the server finds a duplicate.
INSERT INTO `{ns}_task` (next_ms, id, due_ms, ver, attempt, created_ms, headers, payload, expires_ms) VALUES {rows}
ON DUPLICATE KEY UPDATE ver = ver
