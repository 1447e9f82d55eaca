-- The same in one statement and one commit, all or none: counts and locks the rows that exist before it deletes them. It reads each row
-- twice, so it is for few. Index: id, by force, twice.
DELETE t FROM (SELECT COUNT(*) AS n FROM `{ns}_task` FORCE INDEX (id) WHERE id IN ({ids}) AND ver IN ({vers}) FOR UPDATE) AS k
JOIN `{ns}_task` AS t FORCE INDEX (id) WHERE k.n = ? AND t.id IN ({ids}) AND t.ver IN ({vers})
