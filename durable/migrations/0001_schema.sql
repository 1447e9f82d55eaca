-- Compatible: 1
-- The tasks of one namespace, clustered by the time at which each is next offered: the feeder reads the window as one range.
-- ver is random and new at each create and each move: it tells the versions of a row apart. prev_ver is what ver was before
-- the row was moved last, 0 if it never was: the process that moved it may have died before it removed that version from
-- the hot set.
CREATE TABLE IF NOT EXISTS `{ns}_task` (
  next_ms    BIGINT NOT NULL,               -- when the task is next offered, unix milliseconds
  id         VARBINARY(128) NOT NULL,       -- compared as bytes
  due_ms     BIGINT NOT NULL,               -- the due time that the caller asked for, kept through rollbacks
  ver        BIGINT NOT NULL,
  prev_ver   BIGINT NOT NULL DEFAULT 0,
  attempt    INT UNSIGNED NOT NULL DEFAULT 0,
  created_ms BIGINT NOT NULL,               -- for people
  headers    VARBINARY(8192) NULL,          -- a JSON object of strings; NULL if there are none
  payload    MEDIUMBLOB NULL,
  PRIMARY KEY (next_ms, id),
  UNIQUE KEY id (id)
) ENGINE=InnoDB;
-- What all processes of a namespace must agree on: the number of partitions, and other records.
CREATE TABLE IF NOT EXISTS `{ns}_meta` (
  name  VARBINARY(64) NOT NULL,
  value VARBINARY(255) NOT NULL,
  PRIMARY KEY (name)
) ENGINE=InnoDB
