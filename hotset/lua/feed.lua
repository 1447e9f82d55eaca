-- feed: add the members of one page of the feeder's scan, then move loaded.
--
-- ARGV[2]  generation  that the scan began under
-- ARGV[3]  at_us       seen before the page was read
-- ARGV[4]  my_epoch    of the feeder
-- ARGV[5]  to_ms       all rows up to (to_ms, to_id) are in, once this page is; -1: more of the page follows
-- ARGV[6]  to_id
-- ARGV[7]  member, next_ms, entry, ... at most 1000 times
-- RETURNS  {OK, now, generation, start (us), horizon, loaded_ms, loaded_id, members, added}
-- COST     O(k log n)
-- FencedScan: a page of another generation, or of an older epoch, is refused.
-- Invariant: loaded never passes the horizon, and only retreat lowers it. The script compares the ms of (ms, id) alone: the order of ids is
-- the feeder's, and there is one feeder.
-- A repeat is harmless: a member that is in stays as it is.
local generation, at_us, my_epoch, to_ms, to_id = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
if not gen then return {'COLD', now, 0} end
if tonumber(generation) ~= gen or my_epoch < epoch then return {'ABORT', now, gen} end
if not valid_as_of(generation, at_us) then return {'STALE', now, gen} end
local _, added = add_members(7)
if to_ms > horizon then to_ms, to_id = horizon, '' end
if to_ms >= loaded_ms then
  redis.call('HSET', meta, 'loaded_ms', int(to_ms), 'loaded_id', to_id)
else
  to_ms, to_id = loaded_ms, loaded_id
end
return {'OK', now, gen, start, horizon, to_ms, to_id, redis.call('HLEN', tasks), added}
