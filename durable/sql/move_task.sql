-- Gives a task another time and version, and keeps the previous version (the server sets from left to right). Index: id.
UPDATE `{ns}_task` SET next_ms = ?, due_ms = ?, prev_ver = ver, ver = ?, attempt = ? WHERE id = ? AND ver = ?
