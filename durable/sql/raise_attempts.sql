-- Raises the attempts of the versions named that know of fewer. Index: id, by force, as delete_tasks.sql says.
UPDATE `{ns}_task` FORCE INDEX (id) SET attempt = ? WHERE id IN ({ids}) AND ver IN ({vers}) AND attempt < ?
