-- The history of one id in the slots named, the newest first. Index: PRIMARY, by force, as ranges of (slot, id).
SELECT id, ended_ms, ver, how, due_ms, created_ms, COALESCE(delivered_ms, 0), attempt, worker, COALESCE(reason, ''), COALESCE(last_error, '')
FROM `{ns}_done` FORCE INDEX (PRIMARY) WHERE slot IN ({slots}) AND id = ? ORDER BY slot DESC, ended_ms DESC, ver DESC LIMIT ?
