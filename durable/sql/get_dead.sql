-- Headers and payload of one dead letter. Index: id, by force.
SELECT headers, payload FROM `{ns}_dead` FORCE INDEX (id) WHERE id = ? AND ver = ?
