-- horizon: start a feeder's round: raise the horizon; or begin a new generation, empty, if the partition is cold.
--
-- KEYS[8]  batches of the old generation, which end with it
-- ARGV[2]  my_epoch    of the feeder
-- ARGV[3]  wanted_ms   the horizon that the feeder asks for
-- ARGV[4]  limit       members that the partition may hold; one that holds as many keeps its horizon
-- ARGV[5]  generation  to begin if it is cold; 0: answer COLD instead
-- ARGV[6]  on_server   the server that the durable store names for it, or empty; on another one no generation begins
-- ARGV[7]  token, ...  of those batches, at most 1000
-- RETURNS  {OK, now, generation, start (us), horizon, loaded_ms, loaded_id, members, waiting, 1 if the generation is new, server}
--          {COLD, now, 0, server}
-- COST     O(batches named); UNLINK frees in the background. COLD once more: batches are left, list them again
-- Invariant: the epoch never falls, except with the server's data. Within a generation only retreat lowers the horizon. A new generation
-- begins at the server's own time, also if an earlier answer had a later time: an as_of from before has another generation, and is STALE.
-- The partition hears of the pause that the caller has read: a new generation begins with it, so that a lost Redis ends no pause.
-- Those who watch are told "quiet" if no member is to be offered for task.QuietFor: then none of them need claim to find that out.
-- A repeat is harmless: the generation is new then and warm.
local my_epoch, wanted_ms, limit, generation, on_server = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local QUIET = 9000 -- task.QuietFor in ms
local run = server()
if gen and origin == run then
  if tonumber(my_epoch) < epoch then return {'ABORT', now, gen} end
  local members = redis.call('HLEN', tasks)
  if members < limit then horizon = math.max(horizon, tonumber(wanted_ms)) end
  redis.call('ZREM', lease, '') -- not deny-oom: a retreat may have to follow
  redis.call('HSET', meta, 'epoch', my_epoch, 'horizon', int(horizon))
  if pause_seq > 0 then redis.call('HSET', meta, 'pause', pause) end
  local count = redis.call('ZCARD', waiting)
  if count == 0 or first_ms() > ms + QUIET then redis.call('PUBLISH', string.gsub(waiting, ':waiting$', ':wake'), 'quiet') end
  return {'OK', now, gen, start, horizon, loaded_ms, loaded_id, members, count, 0, run}
end
if stored_gen and origin == run and tonumber(my_epoch) < epoch then return {'ABORT', now, stored_gen} end -- a newer feeder began it
if generation == '0' or on_server ~= '' and on_server ~= run then return {'COLD', now, 0, run} end
if #KEYS > 7 then redis.call('UNLINK', unpack(KEYS, 8)) end
for i = 7, #ARGV do redis.call('ZREM', lease, ARGV[i]) end
if redis.call('ZCARD', lease) > 0 then return {'COLD', now, 0, run} end
redis.call('UNLINK', unpack(KEYS, 1, 7))
redis.call('HSET', meta, 'gen', generation, 'start', int(us), 'server', run, 'horizon', wanted_ms, 'loaded_ms', '0', 'loaded_id', '',
  'epoch', my_epoch, 'period', int(math.floor(us / T)), 'partitions', parts, 'format', FORMAT, 'longest', '0', 'identity', identity,
  'caller', parts .. ' ' .. identity .. ' ' .. generation)
if pause_seq > 0 then redis.call('HSET', meta, 'pause', pause) end
return {'OK', us, tonumber(generation), us, tonumber(wanted_ms), 0, '', 0, 0, 1, run}
