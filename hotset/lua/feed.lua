-- feed: take in one page of the feeder's scan, then move loaded.
--
-- ARGV[2]  generation  that the scan began under
-- ARGV[3]  us          seen before the page was read
-- ARGV[4]  epoch       of the feeder
-- ARGV[5]  loaded_ms   all rows up to (loaded_ms, loaded_id) are in, once this page is; -1: more of the page follows
-- ARGV[6]  loaded_id
-- ARGV[7]  member, next_ms, record, ... at most 1000 times
-- RETURNS  {OK, now, generation, start_us, horizon, loaded_ms, loaded_id, members, taken}
-- COST     O(k log n)
-- FencedScan: a page of another generation, or of an older epoch, is refused.
-- Invariant: loaded never passes the horizon and never falls; (ms, id) is not compared here beyond its ms: ids are the
-- feeder's order, and there is one feeder.
-- A repeat is harmless: a member that is in stays as it is.
if not gen then return {'COLD', now, 0} end
if tonumber(ARGV[2]) ~= gen or tonumber(ARGV[4]) < tonumber(m[8]) then return {'ABORT', now, gen} end
if not fresh(ARGV[2], ARGV[3]) then return {'STALE', now, gen} end
local _, taken = take(7)
local at, id = tonumber(ARGV[5]), ARGV[6]
if at > horizon then at, id = horizon, '' end
if at >= tonumber(m[6]) then
  redis.call('HSET', meta, 'loaded_ms', int(at), 'loaded_id', id)
else
  at, id = tonumber(m[6]), m[7]
end
return {'OK', now, gen, tonumber(m[4]), horizon, at, id, redis.call('HLEN', tasks), taken}
