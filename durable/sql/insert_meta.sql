-- Records a value unless one is recorded.
INSERT IGNORE INTO `{ns}_meta` (name, value) VALUES (?, ?)
