-- Deletes one dead letter. Index: id, by force.
DELETE d FROM `{ns}_dead` AS d FORCE INDEX (id) WHERE d.id = ? AND d.ver = ?
