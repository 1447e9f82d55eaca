-- clock: what time it is in the partition, and which generation it has.
--
-- RETURNS  {OK, now, generation or 0}
-- COST     O(1)
-- A repeat is harmless: it reads.
return {'OK', now, gen or 0}
