-- The versions, with times, of the ids that exist. Index: id, by force: without it the servers read a table of few rows whole, with payloads.
SELECT id, ver, prev_ver, next_ms, COALESCE(expires_ms, 0) FROM `{ns}_task` FORCE INDEX (id) WHERE id IN ({ids})
