-- The first slot of a range that has history. Index: PRIMARY, by force, as a range.
SELECT slot FROM `{ns}_done` FORCE INDEX (PRIMARY) WHERE slot >= ? AND slot < ? ORDER BY slot, id, ended_ms, ver LIMIT 1
