-- state: what the partition holds, and what server it is on.
--
-- RETURNS  {OK, now, generation or 0, horizon, loaded_ms, loaded_id, waiting, due, members, oldest_ms, start_us, version, policy,
--          server, 1 if a generation stands that does not count}; start_us is now if it is cold
-- COST     O(log n)
-- A repeat is harmless: it reads.
local version = string.match(info('server'), 'redis_version:([%d%.]+)') or ''
local policy = string.match(info('memory'), 'maxmemory_policy:([%w-]+)') or ''
local run = server()
if not gen or run ~= m[10] then return {'OK', now, 0, 0, 0, '', 0, 0, 0, 0, now, version, policy, run, other and 1 or 0} end
return {'OK', now, gen, horizon, tonumber(m[6]), m[7], redis.call('ZCARD', waiting), redis.call('ZCOUNT', waiting, '-inf', int(ms)),
  redis.call('HLEN', tasks), first() or 0, tonumber(m[4]), version, policy, run, 0}
