-- Replaces a recorded value, if it is still that. Index: PRIMARY.
UPDATE `{ns}_meta` SET value = ? WHERE name = ? AND value = ?
