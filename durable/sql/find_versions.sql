-- The versions of the ids that exist. Index: id.
SELECT id, ver FROM `{ns}_task` WHERE id IN ({ids})
