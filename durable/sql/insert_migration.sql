-- Records that a migration was applied, unless that is recorded.
INSERT IGNORE INTO `{ns}_migration` (version, compatible, applied_ms) VALUES (?, ?, ?)
