-- Deletes what is due later than a time, and was never moved, in whatever version. Commits only if it met all ids.
-- Index: id, by force.
DELETE t FROM `{ns}_task` AS t FORCE INDEX (id) WHERE t.id IN ({ids}) AND t.next_ms > ? AND t.prev_ver = 0
