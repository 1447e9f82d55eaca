-- Copies tasks that died in the same way to the dead letters, inside the server. A letter that is there stays as it is. Index: id, by
-- force, as delete_tasks.sql says.
INSERT INTO `{ns}_dead` (dead_ms, id, ver, due_ms, created_ms, expires_ms, attempt, reason, last_error, headers, payload)
SELECT ?, t.id, t.ver, t.due_ms, t.created_ms, t.expires_ms, ?, ?, ?, t.headers, t.payload
FROM `{ns}_task` AS t FORCE INDEX (id) WHERE t.id IN ({ids}) AND t.ver IN ({vers})
ON DUPLICATE KEY UPDATE ver = VALUES(ver)
