-- Compatible: 1
-- The outbox: what transactions of callers have changed, for the hot set to be told after their commit. An entry names one version
-- of a task: if a row has that version it is to be added to the hot set, otherwise removed from it. entry is random and never
-- used twice, so that a drainer deletes exactly the entries that it has read. It has an index of its own, because that can be
-- forced: by the primary key the servers read a small table whole, and wait for entries of transactions that are open.
CREATE TABLE IF NOT EXISTS `{ns}_outbox` (
  entry BIGINT NOT NULL,
  id    VARBINARY(128) NOT NULL,
  ver   BIGINT NOT NULL,
  PRIMARY KEY (id, entry),
  UNIQUE KEY entry (entry)
) ENGINE=InnoDB
