-- The rows of the ids that exist, long payloads left out. Index: id, by force, as find_versions.sql says.
SELECT next_ms, id, due_ms, ver, attempt, created_ms, prev_ver, CASE WHEN LENGTH(payload) <= ? THEN payload END, COALESCE(LENGTH(payload), 0)
FROM `{ns}_task` FORCE INDEX (id) WHERE id IN ({ids})
