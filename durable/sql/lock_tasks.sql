-- Which of the versions named stand, held until the transaction ends. Index: id.
SELECT id, ver FROM `{ns}_task` WHERE id IN ({ids}) AND ver IN ({vers}) FOR UPDATE
