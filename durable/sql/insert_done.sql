-- Writes the history of tasks that this transaction deletes. A row that is there, because a database was restored in part, stays
-- as it is, so that no task's end can fail for ever.
INSERT INTO `{ns}_done` (slot, id, ended_ms, ver, how, due_ms, created_ms, delivered_ms, attempt, worker, reason, last_error) VALUES {rows}
ON DUPLICATE KEY UPDATE ver = VALUES(ver)
