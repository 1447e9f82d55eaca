-- add: add members that a caller knows of (a creator, the auditor).
--
-- ARGV[2]  generation  of the caller's as_of
-- ARGV[3]  at_us       of the caller's as_of, seen before the rows were inserted or read
-- ARGV[4]  member, next_ms, entry, ... at most 1000 times
-- RETURNS  {OK, now, generation, horizon (ms), answer, ...}: 1 added, 7 was a member before, 4 not below the horizon, 5 dead
-- COST     O(k log n)
-- Tombstones: a member that was removed within T is dead. AsOfBeforeRead: an as_of from before that is STALE.
-- A repeat is harmless: a member that is in stays as it is. Without members the answer has the horizon, at or above which no
-- member is added.
local generation, at_us = ARGV[2], ARGV[3]
if not gen then return {'COLD', now, 0} end
if not valid_as_of(generation, at_us) then return {'STALE', now, gen} end
return {'OK', now, gen, horizon, unpack((add_members(4)))}
