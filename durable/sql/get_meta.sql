-- A recorded value.
SELECT value FROM `{ns}_meta` WHERE name = ?
