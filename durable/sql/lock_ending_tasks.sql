-- What the history keeps of the versions named that exist; locks their rows until the transaction ends. Index: id, by force, as
-- delete_tasks.sql says.
SELECT id, ver, due_ms, created_ms, attempt FROM `{ns}_task` FORCE INDEX (id) WHERE id IN ({ids}) AND ver IN ({vers}) FOR UPDATE
