-- register: put members that a worker holds into its batch, when a new generation has begun, or their entries were lost.
--
-- KEYS[8]  batch  set   members of the batch
-- ARGV[2]  generation   of the caller's as_of
-- ARGV[3]  at_us        of the caller's as_of, seen before the rows were read
-- ARGV[4]  token        of the batch
-- ARGV[5]  lease_ms     length of the lease
-- ARGV[6]  member, next_ms, entry, ... at most 1000 times
-- RETURNS  {OK, now, generation, answer, ...}: 2 in this batch, 3 in another, 5 dead
-- COST     O(k log n)
-- Invariant: a member is in waiting or in one batch, never in both.
-- A repeat is harmless: a member that is in the batch stays there.
-- Data that names another server is cold: it may lack what was removed since, and hold what was reaped since.
local batch, generation, at_us, token, lease_ms = KEYS[8], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if not gen or server() ~= origin then return {'COLD', now, 0} end
if not valid_as_of(generation, at_us) then return {'STALE', now, gen} end
local members, entries, answers, registered = {}, {}, {}, false
for i = 6, #ARGV, 3 do members[#members + 1] = ARGV[i]; entries[#entries + 1] = ARGV[i + 2]; raise_longest(#ARGV[i + 2]) end
local has_tombstone = tombstoned(members)
for i, member in ipairs(members) do
  answers[i] = CLAIMED
  if has_tombstone[i] then
    answers[i] = DEAD
  elseif redis.call('SISMEMBER', batch, member) == 0 then
    if redis.call('ZREM', waiting, member) == 0 and redis.call('HEXISTS', tasks, member) == 1 then
      answers[i] = ELSEWHERE
    else
      redis.call('HSET', tasks, member, entries[i])
      redis.call('SADD', batch, member)
    end
  elseif redis.call('HEXISTS', tasks, member) == 0 then -- lost alone, as by an eviction
    redis.call('HSET', tasks, member, entries[i])
  end
  registered = registered or answers[i] == CLAIMED
end
if registered then redis.call('ZADD', lease, int(ms + 1 + lease_ms), token) end
return {'OK', now, gen, unpack(answers)}
