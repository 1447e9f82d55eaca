-- Looks at some of the rows whose ids lie in a range, after an id: how many there are, how many of them are next offered within a time but
-- not at another one, and the last id. Index: id, by force, as one range, alone: it has next_ms, because that is in the primary key.
SELECT COUNT(*), COALESCE(SUM(next_ms >= ? AND next_ms < ? AND next_ms <> ?), 0), COALESCE(MAX(id), '')
FROM (SELECT id, next_ms FROM `{ns}_task` FORCE INDEX (id) WHERE id >= ? AND id > ? AND id < ? ORDER BY id LIMIT ?) t
