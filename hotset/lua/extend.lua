-- extend: renew the leases of batches, and return which of their members were removed.
--
-- ARGV[2]  generation   that they were claimed under
-- ARGV[3]  lease_ms     length of the lease
-- ARGV[4]  n            number of tokens
-- ARGV[5]  token, ... n times, member, ... the rest; at most 1000 each
-- RETURNS  {OK, now, generation, {index of a token that is lost, ...}, {index of a member that is gone, ...}}
-- COST     O(k log n)
-- The first write is not deny-oom. The server is looked at: old data may hold a lease that was reaped since.
-- A repeat is harmless: a lease is renewed once more.
local generation, lease_ms, n = ARGV[2], ARGV[3], tonumber(ARGV[4])
if not gen then return {'COLD', now, 0} end
if tonumber(generation) ~= gen then return {'ABORT', now, gen} end
if #ARGV > 4 and server() ~= origin then return {'COLD', now, 0} end
local lost, gone = {}, {}
if n > 0 then redis.call('ZREM', lease, '') end
for i = 1, n do
  local token = ARGV[4 + i]
  if redis.call('ZSCORE', lease, token) then
    redis.call('ZADD', lease, int(ms + 1 + lease_ms), token)
  else
    lost[#lost + 1] = i
  end
end
for i = 1, #ARGV - 4 - n do
  if redis.call('HEXISTS', tasks, ARGV[4 + n + i]) == 0 then gone[#gone + 1] = i end
end
return {'OK', now, gen, lost, gone}
