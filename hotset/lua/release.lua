-- release: give members of a batch back: they wait again.
--
-- KEYS[8]  batch  set   that they are in
-- ARGV[2]  token        of that batch
-- ARGV[3]  delay_ms     offer them that long from now; below 0: at the next_ms of their entries, but not before -delay_ms
-- ARGV[4]  counted      1: it counts as an attempt
-- ARGV[5]  expired      1: only if the lease is over, and the rows were read as of:
-- ARGV[6]  generation
-- ARGV[7]  at_us
-- ARGV[8]  member, ...  at most 1000; none: the lease ends if the batch is empty
-- RETURNS  {OK, now, generation, answer, ...}: 1 waits, 5 dead, 0 no member, 3 not in this batch, 4 beyond the horizon,
--          2 the lease is not over
-- COST     O(k log n)
-- ReapStanding: with expired, only while the lease is over, and not if the rows were read before what the tombstones cover.
-- Invariant: a member is in waiting or in one batch, never in both. The first write is not deny-oom.
-- A repeat is harmless: a member that was given back is not in the batch any more.
local batch, token, delay_ms, counted, expired, generation, at_us = KEYS[8], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6], ARGV[7]
if not gen then return {'COLD', now, 0} end
if expired == '1' and not valid_as_of(generation, at_us) then return {'STALE', now, gen} end
local members, answers = {unpack(ARGV, 8)}, {}
local ends = expired == '1' and redis.call('ZSCORE', lease, token)
if ends and tonumber(ends) > ms then
  for i = 1, #members do answers[i] = CLAIMED end
  return {'OK', now, gen, unpack(answers)}
end
redis.call('ZREM', lease, '')
local has_tombstone, in_batch = {}, {}
if #members > 0 then has_tombstone, in_batch = tombstoned(members), redis.call('SMISMEMBER', batch, unpack(members)) end
local before = first_ms()
for from = 1, #members, 100 do -- in pieces, because all entries may be more than the server has memory
  local last = math.min(from + 99, #members)
  local stored, entries, scores, left = redis.call('HMGET', tasks, unpack(members, from, last)), {}, {}, {}
  for i = from, last do
    local member, entry = members[i], stored[i - from + 1]
    local next_ms, due_ms, attempt, flag, at = head_of(entry or '')
    local offer_ms = delay_ms < 0 and math.max(next_ms or 0, -delay_ms) or ms + (delay_ms > 0 and 1 + delay_ms or 0) -- a part of a ms counts as one
    if has_tombstone[i] then answers[i] = DEAD
    elseif in_batch[i] == 0 then answers[i] = entry and ELSEWHERE or ABSENT
    elseif not next_ms then answers[i] = ABSENT
    elseif delay_ms > 0 and offer_ms >= horizon then answers[i] = BEYOND
    else
      answers[i] = WAITING
      if counted == '1' then
        attempt = int((tonumber(attempt) or 0) + 1)
        entries[#entries + 1] = member; entries[#entries + 1] = int(next_ms) .. ':' .. due_ms .. ':' .. attempt .. ':' .. flag .. string.sub(entry, at)
      end
      scores[#scores + 1] = int(offer_ms); scores[#scores + 1] = member
    end
    if answers[i] ~= BEYOND then left[#left + 1] = member end
  end
  each('HSET', tasks, entries); each('ZADD', waiting, scores); each('SREM', batch, left)
end
if redis.call('EXISTS', batch) == 0 then redis.call('ZREM', lease, token) end
wake(before)
return {'OK', now, gen, unpack(answers)}
