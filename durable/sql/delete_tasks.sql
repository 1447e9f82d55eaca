-- Deletes the versions named; ver is random, so ids and versions need no pairing. Index: id, by force, for which the form
-- with FROM is needed: when many of few rows are named the servers read the whole table, and wait for rows that others hold.
DELETE t FROM `{ns}_task` AS t FORCE INDEX (id) WHERE t.id IN ({ids}) AND t.ver IN ({vers})
