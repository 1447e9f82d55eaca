-- Deletes the first history of a range of slots. Index: PRIMARY, as a range.
DELETE FROM `{ns}_done` WHERE slot >= ? AND slot < ? ORDER BY slot, id, ended_ms, ver LIMIT ?
