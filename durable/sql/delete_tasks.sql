-- Deletes the versions named; ver is random, so ids and versions need no pairing. Index: id.
DELETE FROM `{ns}_task` WHERE id IN ({ids}) AND ver IN ({vers})
