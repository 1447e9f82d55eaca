-- leases: the batches whose lease is over; or all that have one.
--
-- ARGV[2]  limit     most batches
-- ARGV[3]  lease_ms  until that long after the generation began no lease counts as over; -1: all batches, over or not
-- ARGV[4]  skip      batches that earlier calls have returned, with -1
-- RETURNS  {OK, now, generation or 0, {token, ...}}
-- COST     O(limit)
-- A repeat is harmless: it reads.
local limit, lease_ms, skip = ARGV[2], ARGV[3], ARGV[4]
if not gen or server() ~= origin then return {'COLD', now, 0} end
if lease_ms == '-1' then return {'OK', now, gen, redis.call('ZRANGE', lease, skip, int(skip + limit - 1))} end
if now < start + 1000 * lease_ms then return {'OK', now, gen, {}} end
return {'OK', now, gen, redis.call('ZRANGE', lease, '-inf', int(ms), 'BYSCORE', 'LIMIT', 0, limit)}
