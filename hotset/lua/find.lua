-- find: where members are; drops the records of those that are nowhere.
--
-- KEYS[8]  batches      that have a lease, as the caller has read
-- ARGV[2]  n            number of their tokens
-- ARGV[3]  token, ... n times, member, ... the rest; at most 1000
-- RETURNS  {OK, now, generation or 0, answer, ms, attempt, ...}: 0 absent, 1 waiting, 2 claimed, 6 orphan, 8 again (leases changed)
-- COST     O(k n)
-- A repeat is harmless: who was an orphan is absent then, which is the same to its caller.
if not gen or server() ~= m[10] then return {'COLD', now, 0} end
local n, out = tonumber(ARGV[2]), {}
local complete = redis.call('ZCARD', lease) == n
for i = 1, n do complete = complete and redis.call('ZSCORE', lease, ARGV[2 + i]) and true end
for i = 3 + n, #ARGV do
  local member = ARGV[i]
  local at, record = redis.call('ZSCORE', waiting, member), redis.call('HGET', tasks, member)
  local answer = at and 1 or 0 -- waiting, absent
  for k = 8, 7 + n do
    if answer == 0 and redis.call('SISMEMBER', KEYS[k], member) == 1 then answer = 2 end -- claimed
  end
  if answer == 0 and record then answer = complete and 6 or 8 end -- orphan, again
  if answer == 6 then redis.call('HDEL', tasks, member) end
  out[#out + 1] = answer
  out[#out + 1] = tonumber(at or 0)
  out[#out + 1] = tonumber(string.match(record or '', '^%d+:%d+:(%d+)') or 0)
end
return {'OK', now, gen, unpack(out)}
