-- Deletes rows that are due later than a time and were never moved, in whatever version. Its caller commits only if it met all ids.
-- Index: id, by force.
DELETE t FROM `{ns}_task` AS t FORCE INDEX (id) WHERE t.id IN ({ids}) AND t.next_ms > ? AND t.prev_ver = 0
