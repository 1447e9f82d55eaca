-- The last slot up to one that has history. Index: PRIMARY, by force, backwards as a range.
SELECT slot FROM `{ns}_done` FORCE INDEX (PRIMARY) WHERE slot <= ? ORDER BY slot DESC, id DESC, ended_ms DESC, ver DESC LIMIT 1
