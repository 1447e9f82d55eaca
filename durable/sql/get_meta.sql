-- One record.
SELECT value FROM `{ns}_meta` WHERE name = ?
