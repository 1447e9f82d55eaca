-- state: what the partition holds, and what server it is on.
--
-- RETURNS  {OK, now, generation or 0, horizon, loaded_ms, loaded_id, waiting, due, members, oldest_ms, start (us), version, policy,
--          server, 1 if it has a generation that is not current}; start is now if it is cold
-- COST     O(log n)
-- A repeat is harmless: it reads.
local version = string.match(info('server'), 'redis_version:([%d%.]+)') or ''
local policy = string.match(info('memory'), 'maxmemory_policy:([%w-]+)') or ''
local run = server()
if not gen or run ~= origin then return {'OK', now, 0, 0, 0, '', 0, 0, 0, 0, now, version, policy, run, not_current and 1 or 0} end
return {'OK', now, gen, horizon, loaded_ms, loaded_id, redis.call('ZCARD', waiting), redis.call('ZCOUNT', waiting, '-inf', int(ms)),
  redis.call('HLEN', tasks), first_ms() or 0, start, version, policy, run, 0}
