-- Copies a dead letter back to the tasks, inside the server. 1062: a task of that id exists (key id); nothing was inserted. Index: id, by force.
INSERT INTO `{ns}_task` (next_ms, id, due_ms, ver, attempt, created_ms, headers, payload)
SELECT ?, d.id, ?, ?, 0, d.created_ms, d.headers, d.payload FROM `{ns}_dead` AS d FORCE INDEX (id) WHERE d.id = ? AND d.ver = ?
