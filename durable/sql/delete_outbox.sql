-- Deletes exactly the entries named, each by a look-up of its own. Index: entry, by force and in the order of the join: a server that
-- reads the whole table, as MariaDB does if nearly all entries are named in a list, waits for those of open transactions.
DELETE o FROM ({keys}) AS k STRAIGHT_JOIN `{ns}_outbox` AS o FORCE INDEX (entry) ON o.entry = k.entry
