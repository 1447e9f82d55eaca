-- find: where members are; drops the entries of members that neither wait nor are in a batch.
--
-- KEYS[8]  batches      that have a lease, as the caller has read
-- ARGV[2]  n            number of their tokens
-- ARGV[3]  token, ... n times, member, ... the rest; at most 1000
-- RETURNS  {OK, now, generation or 0, answer, next_ms, attempt, ...}: 0 absent, 1 waits, 2 claimed, 6 orphan,
--          8 ask again: leases changed
-- COST     O(k n)
-- A repeat is harmless: a member that was an orphan is absent then, which is the same to its caller.
local n = tonumber(ARGV[2])
if not gen or server() ~= origin then return {'COLD', now, 0} end
local complete, out = redis.call('ZCARD', lease) == n, {}
for i = 1, n do complete = complete and redis.call('ZSCORE', lease, ARGV[2 + i]) and true end
for i = 3 + n, #ARGV do
  local member = ARGV[i]
  local next_ms, entry = redis.call('ZSCORE', waiting, member), redis.call('HGET', tasks, member)
  local answer = next_ms and WAITING or ABSENT
  for k = 8, 7 + n do
    if answer == ABSENT and redis.call('SISMEMBER', KEYS[k], member) == 1 then answer = CLAIMED end
  end
  if answer == ABSENT and entry then answer = complete and ORPHAN or ASK_AGAIN end
  if answer == ORPHAN then redis.call('HDEL', tasks, member) end
  local _, _, attempt = head_of(entry or '')
  out[#out + 1] = answer
  out[#out + 1] = tonumber(next_ms or 0)
  out[#out + 1] = tonumber(attempt) or 0
end
return {'OK', now, gen, unpack(out)}
