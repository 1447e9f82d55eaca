-- When the first of the dead letters of a range of times died. Index: PRIMARY, by force, as a range; attempt is there for the reason that
-- first_task.sql gives for created_ms.
SELECT dead_ms, attempt FROM `{ns}_dead` FORCE INDEX (PRIMARY) WHERE dead_ms >= ? AND dead_ms < ? ORDER BY dead_ms, id, ver LIMIT 1
