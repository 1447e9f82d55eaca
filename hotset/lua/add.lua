-- add: take members in that a caller knows of (a creator, the auditor).
--
-- ARGV[2]  generation  of the caller's as_of
-- ARGV[3]  us          of the caller's as_of, seen before the rows were inserted or read
-- ARGV[4]  member, next_ms, record, ... at most 1000 times
-- RETURNS  {OK, now, generation, horizon (ms), answer, ...}: 1 waiting (taken), 7 present (in before), 4 beyond, 5 dead
-- COST     O(k log n)
-- Tombstones: a member that was removed within T is dead. AsOfBeforeRead: what is known from before that is stale.
-- A repeat is harmless: a member that is in stays as it is. Without members it tells the horizon, and nothing at or above that is taken.
if not gen then return {'COLD', now, 0} end
if not fresh(ARGV[2], ARGV[3]) then return {'STALE', now, gen} end
return {'OK', now, gen, horizon, unpack((take(4)))}
