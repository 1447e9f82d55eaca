-- Compatible: 1
-- The history: what became of tasks, written by processes that are asked to keep it, in the transaction that deletes the task's row. slot is
-- ended_ms in whole slots of 4 hours: rows that are written at the same time lie near each other, without a second index. ver is
-- the version that the task had when it ended: an ID may be used again.
CREATE TABLE IF NOT EXISTS `{ns}_done` (
  slot         INT UNSIGNED NOT NULL,
  id           VARBINARY(128) NOT NULL,
  ended_ms     BIGINT NOT NULL,             -- unix milliseconds
  ver          BIGINT NOT NULL,
  how          TINYINT UNSIGNED NOT NULL,   -- 1 confirmed, 2 deleted, 3 dead
  due_ms       BIGINT NOT NULL,
  created_ms   BIGINT NOT NULL,
  delivered_ms BIGINT NULL,                 -- when the last delivery began; NULL if there was none, or it is not known
  attempt      INT UNSIGNED NOT NULL,       -- how many times the task was delivered, as far as is known
  worker       VARBINARY(64) NOT NULL,
  reason       VARBINARY(255) NULL,         -- of a dead letter, like last_error
  last_error   VARBINARY(1024) NULL,
  PRIMARY KEY (slot, id, ended_ms, ver)
) ENGINE=InnoDB
