-- pause: store the pause that the caller has read in the durable store (prelude.lua), and wake the processes that sleep.
--
-- RETURNS  {OK, now, generation}
-- COST     O(1)
-- A pause with a lower seq than the stored one changes nothing. The first write is not deny-oom.
-- The server is looked at: what old data hears ends with the next generation.
-- A repeat is harmless: the same is stored once more.
if not gen or server() ~= origin then return {'COLD', now, 0} end
redis.call('ZREM', lease, '')
redis.call('HSET', meta, 'pause', pause)
redis.call('PUBLISH', string.gsub(waiting, ':waiting$', ':wake'), int(ms))
return {'OK', now, gen}
