-- The versions, with times, of the ids that exist. Index: id, by force: else, of few rows, all with their payloads are read.
SELECT id, ver, prev_ver, next_ms FROM `{ns}_task` FORCE INDEX (id) WHERE id IN ({ids})
