-- Gives a task that the transaction has locked another time, version and previous version. Index: id.
UPDATE `{ns}_task` SET next_ms = ?, due_ms = ?, prev_ver = ?, ver = ?, attempt = ? WHERE id = ? AND ver = ?
