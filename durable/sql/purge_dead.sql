-- Deletes the first dead letters of a range of times. Index: PRIMARY, as a range.
DELETE FROM `{ns}_dead` WHERE dead_ms >= ? AND dead_ms < ? ORDER BY dead_ms, id, ver LIMIT ?
