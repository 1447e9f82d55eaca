-- remove: take members out for good, and remember that.
--
-- KEYS[8]  batch  set   that the caller holds them in
-- ARGV[2]  token        of that batch, or empty
-- ARGV[3]  member, ...  at most 1000
-- RETURNS  {OK, now, generation or 0, answer, ...}: 1 waited, 2 claimed, 0 neither; with a token 2 for all
-- COST     O(k log n); with a token no loop over members
-- Invariant: a tombstone outlives what anybody may still know. The first write is not deny-oom.
-- A repeat is harmless. It cannot tell what the first one met, so it answers 2: somebody may have it in hand.
if not gen then return {'OK', now, 0} end
local members, answers, before = {unpack(ARGV, 3)}, {}, nil
if ARGV[2] == '' then
  for i, member in ipairs(members) do
    local waited, known = redis.call('ZREM', due, member), redis.call('HDEL', tasks, member)
    if waited == 0 and known == 0 then before = before or dead(members) end
    answers[i] = waited == 1 and 1 or (known == 1 or before and before[i]) and 2 or 0
  end
else
  -- who is in the batch does not wait; some may have been given back meanwhile
  if redis.call('SREM', KEYS[8], unpack(members)) < #members then redis.call('ZREM', due, unpack(members)) end
  redis.call('HDEL', tasks, unpack(members))
  if redis.call('EXISTS', KEYS[8]) == 0 then redis.call('ZREM', lease, ARGV[2]) end
  for i = 1, #members do answers[i] = 2 end
end
redis.call('SADD', KEYS[5 + period % 3], unpack(members))
return {'OK', now, gen, unpack(answers)}
