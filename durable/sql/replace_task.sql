-- Gives a task another time, version, headers and payload, and keeps the previous version as move_task.sql does. Index: id.
UPDATE `{ns}_task` SET next_ms = ?, due_ms = ?, prev_ver = ver, ver = ?, attempt = ?, headers = ?, payload = ? WHERE id = ? AND ver = ?
