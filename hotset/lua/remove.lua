-- remove: take members out for good, and leave a tombstone for each.
--
-- KEYS[8]  batches      that the caller holds the members in
-- ARGV[2]  n            number of these batches; 0: it holds the members in none
-- ARGV[3]  token, number of its members, ... n times, member, ... the rest, in the order of the batches; at most 1000
-- RETURNS  {OK, now, generation or 0, answer, ...}: 1 waited, 2 claimed, 0 neither; no answers if the caller holds the members
-- COST     O(k log n); no loop over the members of a batch, unless the batch lacked one
-- Tombstones: a tombstone outlives every as_of from before the removal. The first write is not deny-oom.
-- Those who watch hear of members that were claimed: 'removed', and then the length of each, a colon and itself.
-- Tombstones: a task is marked if its member was removed while another caller had claimed it. The mark is NUL and the member without its version, in the
-- sets of tombstones (no member begins with NUL). A later removal of any version of that task answers 2: a worker may have it in hand.
-- A repeat is harmless, and gives the same answer.
-- Without a batch the server is looked at: Delete returns nil by this answer, and another server may still offer the member.
local n = tonumber(ARGV[2])
if not gen or n == 0 and server() ~= origin then return {'OK', now, 0} end
local members, apart, answers, marks = {unpack(ARGV, 3 + 2 * n)}, {}, {}, {}
if n == 0 then apart = members end
local from = 1
for i = 1, n do
  local batch, token, count = KEYS[7 + i], ARGV[1 + 2 * i], tonumber(ARGV[2 + 2 * i])
  if redis.call('SREM', batch, unpack(members, from, from + count - 1)) < count then
    for j = from, from + count - 1 do apart[#apart + 1] = members[j] end
  end
  if redis.call('EXISTS', batch) == 0 then redis.call('ZREM', lease, token) end
  from = from + count
end
if #apart > 0 then -- one by one: a member that is not in the batch waits, or is in another batch. The batch's own members get a mark too
  local claimed, mark_of, told = {}, {}, {'removed'}
  for i, member in ipairs(apart) do
    local waited, known = redis.call('ZREM', waiting, member), redis.call('HDEL', tasks, member)
    mark_of[i] = '\0' .. string.sub(member, 1, -9)
    answers[i] = waited == 1 and WAITING or ABSENT
    if waited == 0 and known == 1 then
      claimed[mark_of[i]] = true
      told[#told + 1] = #member .. ':' .. member
    end
  end
  if #told > 1 then redis.call('PUBLISH', string.gsub(waiting, ':waiting$', ':wake'), table.concat(told)) end
  local marked = tombstoned(mark_of)
  for i, mark in ipairs(mark_of) do
    if claimed[mark] or marked[i] then answers[i] = CLAIMED; marks[#marks + 1] = mark end
  end
end
if #apart < #members then redis.call('HDEL', tasks, unpack(members)) end
local k = period % 3
redis.call('SADD', KEYS[5 + k], unpack(members))
if gone_period[k] ~= period then redis.call('HSET', meta, 'gone' .. int(k), int(period)) end
each('SADD', KEYS[5 + k], marks)
return {'OK', now, gen, unpack(n == 0 and answers or {})}
