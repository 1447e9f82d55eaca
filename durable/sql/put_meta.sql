-- Sets a record, whatever it was. Index: PRIMARY.
INSERT INTO `{ns}_meta` (name, value) VALUES (?, ?) ON DUPLICATE KEY UPDATE value = VALUES(value)
