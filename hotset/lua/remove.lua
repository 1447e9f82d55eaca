-- remove: take members out for good, and leave a tombstone for each.
--
-- KEYS[8]  batch  set   that the caller holds them in
-- ARGV[2]  token        of that batch, or empty
-- ARGV[3]  member, ...  at most 1000
-- RETURNS  {OK, now, generation or 0, answer, ...}: 1 waited, 2 claimed, 0 neither; with a token 2 for all
-- COST     O(k log n); with a token no loop over members, unless the batch lacked one
-- Tombstones: a tombstone outlives every as_of from before the removal. The first write is not deny-oom.
-- Tombstones: a task is marked if its member was removed while another caller had claimed it. The mark is NUL and the id, in the
-- sets of tombstones (no member has a NUL). A later removal of any version of that task answers 2: a worker may have it in hand.
-- A repeat is harmless, and gives the same answer.
-- Without a token the server is looked at: Delete returns nil by this answer, and another server may still offer the member.
local batch, token = KEYS[8], ARGV[2]
if not gen or token == '' and server() ~= origin then return {'OK', now, 0} end
local members, answers, marks = {unpack(ARGV, 3)}, {}, {}
local removed = token ~= '' and redis.call('SREM', batch, unpack(members)) -- how many, false without a token
if removed == #members then
  redis.call('HDEL', tasks, unpack(members))
else -- one by one: a member that is not in the batch waits, or is in another batch. The batch's own members get a mark too
  local claimed, mark_of = {}, {}
  for i, member in ipairs(members) do
    local waited, known = redis.call('ZREM', waiting, member), redis.call('HDEL', tasks, member)
    mark_of[i] = '\0' .. string.sub(member, 1, -9)
    answers[i] = waited == 1 and WAITING or ABSENT
    if waited == 0 and known == 1 then claimed[mark_of[i]] = true end
  end
  local marked = tombstoned(mark_of)
  for i, mark in ipairs(mark_of) do
    if claimed[mark] or marked[i] then answers[i] = CLAIMED; marks[#marks + 1] = mark end
  end
end
if removed then
  if redis.call('EXISTS', batch) == 0 then redis.call('ZREM', lease, token) end
  for i = 1, #members do answers[i] = CLAIMED end
end
local k = period % 3
redis.call('SADD', KEYS[5 + k], unpack(members))
if gone_period[k] ~= period then redis.call('HSET', meta, 'gone' .. int(k), int(period)) end
each('SADD', KEYS[5 + k], marks)
return {'OK', now, gen, unpack(answers)}
