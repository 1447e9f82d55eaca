-- Which of the versions named exist; locks their rows until the transaction ends. Index: id, by force, as delete_tasks.sql says.
SELECT id, ver, prev_ver, next_ms, COALESCE(expires_ms, 0) FROM `{ns}_task` FORCE INDEX (id) WHERE id IN ({ids}) AND ver IN ({vers}) FOR UPDATE
