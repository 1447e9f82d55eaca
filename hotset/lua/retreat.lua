-- retreat: lower the horizon to what the partition may hold, and drop some of the members that wait beyond it.
--
-- ARGV[2]  generation  of the feeder's round
-- ARGV[3]  my_epoch    of the feeder
-- ARGV[4]  limit       members that the partition may hold
-- ARGV[5]  skip        members beyond that earlier calls of this retreat have kept
-- RETURNS  {OK, now, generation, start (us), horizon, loaded_ms, loaded_id, members, kept, dropped}
-- COST     O(1000 log n)
-- Invariant: a dropped member's row is due at or beyond loaded, so the feeder reads the row again. A member stays if its row is due
-- before that (a rollback has moved the member alone), or if it has attempts or a delay (a snooze counts no attempt): the row may
-- know neither. There are no tombstones, because a dropped member may come back.
-- A repeat is harmless: it retreats a little further at most.
local generation, my_epoch, limit, skip = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if not gen or tonumber(generation) ~= gen or my_epoch < epoch then return {'ABORT', now, gen or 0} end
local members, waits = redis.call('HLEN', tasks), redis.call('ZCARD', waiting)
local keep = math.max(0, limit - (members - waits))
local _, last_ms = unpack(redis.call('ZRANGE', waiting, keep, keep, 'WITHSCORES'))
last_ms = tonumber(last_ms)
if last_ms and last_ms < horizon then horizon = last_ms end
if last_ms and loaded_ms >= horizon then loaded_ms, loaded_id = horizon, '' end
redis.call('ZREM', lease, '') -- not deny-oom: a retreat is what frees memory
redis.call('HSET', meta, 'horizon', int(horizon), 'loaded_ms', int(loaded_ms), 'loaded_id', loaded_id)
local scored = redis.call('ZRANGE', waiting, keep + skip, keep + skip + 999, 'WITHSCORES')
local beyond = {}
for i = 1, #scored, 2 do beyond[#beyond + 1] = scored[i] end
local entries, kept, drop = #beyond > 0 and redis.call('HMGET', tasks, unpack(beyond)) or {}, 0, {}
for i, member in ipairs(beyond) do
  local next_ms, _, attempt = head_of(entries[i] or '')
  local delayed = next_ms and next_ms ~= tonumber(scored[2 * i])
  if not next_ms or next_ms >= horizon and attempt == '' and not delayed then drop[#drop + 1] = member else kept = kept + 1 end
end
each('ZREM', waiting, drop)
each('HDEL', tasks, drop)
return {'OK', now, gen, start, horizon, loaded_ms, loaded_id, members - #drop, kept, #drop}
