-- remove: take members out for good, and remember that.
--
-- KEYS[8]  batch  set   that the caller holds them in
-- ARGV[2]  token        of that batch, or empty
-- ARGV[3]  member, ...  at most 1000
-- RETURNS  {OK, now, generation or 0, answer, ...}: 1 waiting, 2 claimed, 0 absent; with a token 2 for all
-- COST     O(k log n); with a token no loop over members, unless the batch lacked one
-- Tombstones: a tombstone outlives what any process may still know. The first write is not deny-oom.
-- Tombstones: a task is marked if its member was removed while another caller had claimed it (NUL and the id, among the
-- tombstones, which no member can be: ids have no NUL). A later removal of any version of that task answers 2: a worker may have it in hand.
-- A repeat is harmless, and gives the same answer.
-- Without a token the server is looked at: a caller that hears nil of what another server may still offer would believe it.
if not gen or ARGV[2] == '' and server() ~= m[10] then return {'OK', now, 0} end
local members, answers, marks = {unpack(ARGV, 3)}, {}, {}
local own = ARGV[2] ~= '' and redis.call('SREM', KEYS[8], unpack(members))
if own == #members then
  redis.call('HDEL', tasks, unpack(members))
else -- each by itself: who is not in the batch waits, or is another's. Of the batch's own more are marked than need be
  local claimed, all = {}, {}
  for i, member in ipairs(members) do
    local waited, known = redis.call('ZREM', waiting, member), redis.call('HDEL', tasks, member)
    all[i] = '\0' .. string.sub(member, 1, -9)
    answers[i] = waited -- 1 waiting, 0 absent
    if waited == 0 and known == 1 then claimed[all[i]] = true end
  end
  local before = dead(all)
  for i, mark in ipairs(all) do
    if claimed[mark] or before[i] then answers[i] = 2; marks[#marks + 1] = mark end -- claimed
  end
end
if own then
  if redis.call('EXISTS', KEYS[8]) == 0 then redis.call('ZREM', lease, ARGV[2]) end
  for i = 1, #members do answers[i] = 2 end -- claimed
end
redis.call('SADD', KEYS[5 + period % 3], unpack(members))
if tonumber(m[11 + period % 3] or nil) ~= period then redis.call('HSET', meta, 'gone' .. int(period % 3), int(period)) end
each('SADD', KEYS[5 + period % 3], marks)
return {'OK', now, gen, unpack(answers)}
