-- Which of the versions named exist, and how many bytes each has; locks their rows until the transaction ends. Index: id, by force, as
-- delete_tasks.sql says.
SELECT id, ver, COALESCE(LENGTH(payload), 0) + COALESCE(LENGTH(headers), 0)
FROM `{ns}_task` FORCE INDEX (id) WHERE id IN ({ids}) AND ver IN ({vers}) FOR UPDATE
