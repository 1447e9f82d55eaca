-- The migrations that were applied.
CREATE TABLE IF NOT EXISTS `{ns}_migration` (version INT NOT NULL, applied_ms BIGINT NOT NULL, PRIMARY KEY (version)) ENGINE=InnoDB
