-- Records that a migration was applied.
INSERT INTO `{ns}_migration` (version, applied_ms) VALUES (?, ?)
