-- retreat: lower the horizon to what the partition may hold, and drop some of who waits beyond it.
--
-- ARGV[2]  generation  of the feeder's round
-- ARGV[3]  epoch       of the feeder
-- ARGV[4]  limit       members that the partition may hold
-- ARGV[5]  skip        members beyond that earlier calls of this retreat have kept
-- RETURNS  {OK, now, generation, start_us, horizon, loaded_ms, loaded_id, members, kept, dropped}
-- COST     O(1000 log n)
-- Invariant: who is dropped is due at or beyond loaded, so the feeder reads its row again. One whose offer was put off (a
-- rollback) but whose row is due before that stays, as does one that has attempts: its row may not know of them, nor of
-- the delay. No tombstones: who is dropped may come back.
-- A repeat is harmless: it retreats a little further at most.
if not gen or tonumber(ARGV[2]) ~= gen or tonumber(ARGV[3]) < tonumber(m[8]) then return {'ABORT', now, gen or 0} end
local members, n = redis.call('HLEN', tasks), redis.call('ZCARD', waiting)
local keep = math.max(0, tonumber(ARGV[4]) - (members - n))
local last = redis.call('ZRANGE', waiting, keep, keep, 'WITHSCORES')
local at, id, kept, drop = tonumber(m[6]), m[7], 0, {}
if last[2] and tonumber(last[2]) < horizon then horizon = tonumber(last[2]) end
if last[2] and at >= horizon then at, id = horizon, '' end
redis.call('ZREM', lease, '') -- not deny-oom: a retreat is what frees memory
redis.call('HSET', meta, 'horizon', int(horizon), 'loaded_ms', int(at), 'loaded_id', id)
local beyond = redis.call('ZRANGE', waiting, keep + tonumber(ARGV[5]), keep + tonumber(ARGV[5]) + 999)
local records = #beyond > 0 and redis.call('HMGET', tasks, unpack(beyond)) or {}
for i, member in ipairs(beyond) do
  local next_ms, attempt = string.match(records[i] or '', '^(%d+):%d+:(%d+)')
  if not next_ms or tonumber(next_ms) >= horizon and attempt == '0' then drop[#drop + 1] = member else kept = kept + 1 end
end
each('ZREM', waiting, drop)
each('HDEL', tasks, drop)
return {'OK', now, gen, tonumber(m[4]), horizon, at, id, members - #drop, kept, #drop}
