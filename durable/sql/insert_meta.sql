-- Adds a record, unless there is one of that name.
INSERT IGNORE INTO `{ns}_meta` (name, value) VALUES (?, ?)
