-- leases: the batches whose lease is over; or all that have one.
--
-- ARGV[2]  limit     most batches
-- ARGV[3]  lease_ms  none within that of the generation's beginning; -1: all batches, over or not
-- ARGV[4]  skip      batches that earlier calls have told, with -1
-- RETURNS  {OK, now, generation or 0, {token, ...}}
-- COST     O(limit)
-- A repeat is harmless: it reads.
if not gen or server() ~= m[10] then return {'COLD', now, 0} end
if ARGV[3] == '-1' then return {'OK', now, gen, redis.call('ZRANGE', lease, ARGV[4], int(ARGV[4] + ARGV[2] - 1))} end
if now < tonumber(m[4]) + 1000 * ARGV[3] then return {'OK', now, gen, {}} end
return {'OK', now, gen, redis.call('ZRANGE', lease, '-inf', int(ms), 'BYSCORE', 'LIMIT', 0, ARGV[2])}
