-- The tasks of one namespace, clustered by due time: the feeder reads the window as one range.
CREATE TABLE IF NOT EXISTS `{ns}_task` (
  due_ms     BIGINT NOT NULL,               -- when it is next to be offered, unix milliseconds
  id         VARBINARY(128) NOT NULL,       -- compared as bytes
  exec_ms    BIGINT NOT NULL,               -- the due time that the caller asked for, kept through rollbacks
  ver        BIGINT NOT NULL,               -- random, new at each create and reschedule: whose row this is
  attempt    INT UNSIGNED NOT NULL DEFAULT 0,
  created_ms BIGINT NOT NULL,               -- for people
  payload    MEDIUMBLOB NULL,
  PRIMARY KEY (due_ms, id),
  UNIQUE KEY id (id)
) ENGINE=InnoDB
