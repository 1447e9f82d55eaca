-- Adds entries to the outbox, in the transaction that changes the tasks.
INSERT INTO `{ns}_outbox` (entry, id, ver) VALUES {rows}
