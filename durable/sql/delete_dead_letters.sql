-- Deletes the dead letters named; ver is random, so ids and versions need no pairing. Index: id, by force, as delete_tasks.sql.
DELETE d FROM `{ns}_dead` AS d FORCE INDEX (id) WHERE d.id IN ({ids}) AND d.ver IN ({vers})
