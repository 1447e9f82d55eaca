-- register: put members that a worker holds into its batch, when a new generation has begun, or their records were lost.
--
-- KEYS[8]  batch  set   members of the batch
-- ARGV[2]  generation   of the caller's as_of
-- ARGV[3]  us           of the caller's as_of, seen before the rows were read
-- ARGV[4]  token        of the batch
-- ARGV[5]  lease_ms     length of the lease
-- ARGV[6]  member, next_ms, record, ... at most 1000 times
-- RETURNS  {OK, now, generation, answer, ...}: 2 claimed (in this batch), 3 elsewhere (in another), 5 dead
-- COST     O(k log n)
-- Invariant: a member is in waiting or in one batch, never in both.
-- A repeat is harmless: a member that is in the batch stays there.
-- Data that names another server is cold: nothing tells what it lacks, or what it brings back.
if not gen or server() ~= m[10] then return {'COLD', now, 0} end
if not fresh(ARGV[2], ARGV[3]) then return {'STALE', now, gen} end
local members, answers, held = {}, {}, false
for i = 6, #ARGV, 3 do members[#members + 1] = ARGV[i] end
local is = dead(members)
for i = 8, #ARGV, 3 do note(#ARGV[i]) end
for i, member in ipairs(members) do
  answers[i] = 2 -- claimed
  if is[i] then
    answers[i] = 5 -- dead
  elseif redis.call('SISMEMBER', KEYS[8], member) == 0 then
    if redis.call('ZREM', waiting, member) == 0 and redis.call('HEXISTS', tasks, member) == 1 then
      answers[i] = 3 -- elsewhere
    else
      redis.call('HSET', tasks, member, ARGV[6 + 3 * i - 1])
      redis.call('SADD', KEYS[8], member)
    end
  elseif redis.call('HEXISTS', tasks, member) == 0 then -- lost alone, as by an eviction
    redis.call('HSET', tasks, member, ARGV[6 + 3 * i - 1])
  end
  held = held or answers[i] == 2
end
if held then redis.call('ZADD', lease, int(ms + 1 + ARGV[5]), ARGV[4]) end
return {'OK', now, gen, unpack(answers)}
