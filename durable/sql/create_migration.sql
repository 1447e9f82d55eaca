-- The migrations that were applied, and with each the oldest schema version whose library works with what it has made.
CREATE TABLE IF NOT EXISTS `{ns}_migration` (version INT NOT NULL, compatible INT NOT NULL, applied_ms BIGINT NOT NULL, PRIMARY KEY (version)) ENGINE=InnoDB
