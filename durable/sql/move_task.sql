-- Gives a task another time and version. Index: id.
UPDATE `{ns}_task` SET due_ms = ?, exec_ms = ?, ver = ?, attempt = ? WHERE id = ? AND ver = ?
