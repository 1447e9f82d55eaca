-- The rows of the ids that exist, with their payloads. Index: id.
SELECT due_ms, id, exec_ms, ver, attempt, created_ms, payload, COALESCE(LENGTH(payload), 0) FROM `{ns}_task` WHERE id IN ({ids})
