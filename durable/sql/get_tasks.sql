-- The rows of the ids that exist, with their payloads. Index: id, by force, as find_versions.sql says.
SELECT due_ms, id, exec_ms, ver, attempt, created_ms, prev_ver, payload, COALESCE(LENGTH(payload), 0)
FROM `{ns}_task` FORCE INDEX (id) WHERE id IN ({ids})
