-- Replaces a record, if it still has that value. Index: PRIMARY.
UPDATE `{ns}_meta` SET value = ? WHERE name = ? AND value = ?
