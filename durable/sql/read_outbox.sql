-- One page of the outbox after an entry; locks nothing. Index: entry, by force, as a range.
SELECT entry, id, ver FROM `{ns}_outbox` FORCE INDEX (entry) WHERE entry > ? ORDER BY entry LIMIT ?
