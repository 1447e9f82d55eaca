-- Gives tasks other due times and versions, and keeps the previous versions. Index: id, by force, as delete_tasks.sql says.
-- The server sets from left to right, so ver is the old version in the first list, and next_ms is the new time after it.
UPDATE `{ns}_task` FORCE INDEX (id) SET next_ms = CASE ver {times} END, due_ms = next_ms, prev_ver = ver, attempt = 0, ver = CASE ver {to} END
WHERE id IN ({ids}) AND ver IN ({vers})
