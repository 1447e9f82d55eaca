-- Which of the versions named are dead letters. Index: id, by force, alone.
SELECT id, ver FROM `{ns}_dead` FORCE INDEX (id) WHERE id IN ({ids}) AND ver IN ({vers})
