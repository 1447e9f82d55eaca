-- Compatible: 1
-- What the library before knows of the tables means the same: it delivers a task that has expired, and sees no dead letter.
ALTER TABLE `{ns}_task` ADD COLUMN expires_ms BIGINT NULL;
-- The dead letters: tasks that ended without success. ver is the version that the task had. An id may die several times, each
-- time in another version.
CREATE TABLE IF NOT EXISTS `{ns}_dead` (
  dead_ms    BIGINT NOT NULL,               -- when the task died, unix milliseconds
  id         VARBINARY(128) NOT NULL,
  ver        BIGINT NOT NULL,
  due_ms     BIGINT NOT NULL,
  created_ms BIGINT NOT NULL,               -- for people
  expires_ms BIGINT NULL,
  attempt    INT UNSIGNED NOT NULL,         -- how many times the task was delivered
  reason     VARBINARY(255) NOT NULL,
  last_error VARBINARY(1024) NOT NULL,
  headers    VARBINARY(8192) NULL,
  payload    MEDIUMBLOB NULL,
  PRIMARY KEY (dead_ms, id, ver),
  UNIQUE KEY id (id, ver)
) ENGINE=InnoDB
