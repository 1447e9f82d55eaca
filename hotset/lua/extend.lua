-- extend: renew the leases of batches, and tell which of their members were removed.
--
-- ARGV[2]  generation   that they were claimed under
-- ARGV[3]  lease_ms     length of the lease
-- ARGV[4]  n            number of tokens
-- ARGV[5]  token, ... n times, member, ... the rest; at most 1000 each
-- RETURNS  {OK, us, generation, {index of a token that is lost, ...}, {index of a member that is gone, ...}}
-- COST     O(k log n)
-- The first write is not deny-oom. A repeat is harmless.
if not gen then return {'COLD', us, 0} end
if tonumber(ARGV[2]) ~= gen then return {'ABORT', us, gen} end
redis.call('ZREM', lease, '')
local n, lost, gone = tonumber(ARGV[4]), {}, {}
for i = 1, n do
  local token = ARGV[4 + i]
  if redis.call('ZSCORE', lease, token) then
    redis.call('ZADD', lease, int(ms + ARGV[3]), token)
  else
    lost[#lost + 1] = i
  end
end
for i = 5 + n, #ARGV do
  if redis.call('HEXISTS', tasks, ARGV[i]) == 0 then gone[#gone + 1] = i - 4 - n end
end
return {'OK', us, gen, lost, gone}
