-- horizon: begin a feeder's round: raise the horizon; or begin a new generation, empty, if the partition is cold.
--
-- KEYS[8]  batches of the old generation, which end with it
-- ARGV[2]  epoch       of the feeder
-- ARGV[3]  horizon_ms  wished for
-- ARGV[4]  limit       members that the partition may hold; one that does keeps its horizon
-- ARGV[5]  generation  to begin if it is cold; 0: answer COLD instead
-- ARGV[6]  server      the one that the records name for it, or empty: another one begins nothing
-- ARGV[7]  token, ...  of those batches, at most 1000
-- RETURNS  {OK, now, generation, start_us, horizon, loaded_ms, loaded_id, members, waiting, 1 if the generation is new, server}
--          {COLD, now, 0, server}
-- COST     O(batches named); UNLINK frees in the background. COLD once more: batches are left, list them again
-- Invariant: the epoch never falls, except with the server's data; nor does the horizon within a generation. A new generation begins at the server's own
-- time, also if that is behind what was told before: what is known from before is STALE by its generation.
-- A repeat is harmless: the generation is new then and warm.
local run = server()
if gen and m[10] == run then
  if tonumber(ARGV[2]) < tonumber(m[8]) then return {'ABORT', now, gen} end
  local members = redis.call('HLEN', tasks)
  if members < tonumber(ARGV[4]) then horizon = math.max(horizon, tonumber(ARGV[3])) end
  redis.call('ZREM', lease, '') -- not deny-oom: a retreat may have to follow
  redis.call('HSET', meta, 'epoch', ARGV[2], 'horizon', int(horizon))
  return {'OK', now, gen, tonumber(m[4]), horizon, tonumber(m[6]), m[7], members, redis.call('ZCARD', waiting), 0, run}
end
if stood and m[10] == run and tonumber(ARGV[2]) < tonumber(m[8]) then return {'ABORT', now, stood} end -- a newer feeder began it
if ARGV[5] == '0' or ARGV[6] ~= '' and ARGV[6] ~= run then return {'COLD', now, 0, run} end
if #KEYS > 7 then redis.call('UNLINK', unpack(KEYS, 8)) end
for i = 7, #ARGV do redis.call('ZREM', lease, ARGV[i]) end
if redis.call('ZCARD', lease) > 0 then return {'COLD', now, 0, run} end
redis.call('UNLINK', unpack(KEYS, 1, 7))
redis.call('HSET', meta, 'gen', ARGV[5], 'start', int(us), 'server', run, 'horizon', ARGV[3], 'loaded_ms', '0', 'loaded_id', '',
  'epoch', ARGV[2], 'period', int(math.floor(us / T)), 'partitions', parts, 'format', '2', 'longest', '0', 'identity', identity)
return {'OK', us, tonumber(ARGV[5]), us, tonumber(ARGV[3]), 0, '', 0, 0, 1, run}
