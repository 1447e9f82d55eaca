-- clock: what time it is in the partition, and which generation.
--
-- RETURNS  {OK, us, generation or 0}
-- COST     O(1)
return {'OK', us, gen or 0}
