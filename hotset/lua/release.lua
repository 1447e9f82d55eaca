-- release: give members of a batch back: they wait again.
--
-- KEYS[8]  batch  set   that they are in
-- ARGV[2]  token        of that batch
-- ARGV[3]  delay_ms     offer them that long from now; -1: at the next_ms of their records
-- ARGV[4]  counted      1: it counts as an attempt
-- ARGV[5]  expired      1: only if the lease is over, and the rows were read as of:
-- ARGV[6]  generation
-- ARGV[7]  us
-- ARGV[8]  member, ...  at most 1000; none: only a batch that is empty ends
-- RETURNS  {OK, now, generation, answer, ...}: 1 waiting, 5 dead, 0 absent, 3 elsewhere (not in this batch), 4 beyond, 2 claimed (the lease lives)
-- COST     O(k log n)
-- ReapStanding: with expired, only while the lease is over, and not if the rows were read before what the tombstones cover.
-- Invariant: a member is in waiting or in one batch, never in both. The first write is not deny-oom.
-- A repeat is harmless: a member that was given back is not in the batch any more.
if not gen then return {'COLD', now, 0} end
if ARGV[5] == '1' and not fresh(ARGV[6], ARGV[7]) then return {'STALE', now, gen} end
local members, answers, scores = {unpack(ARGV, 8)}, {}, {}
local ends = ARGV[5] == '1' and redis.call('ZSCORE', lease, ARGV[2])
if ends and tonumber(ends) > ms then
  for i = 1, #members do answers[i] = 2 end -- claimed
  return {'OK', now, gen, unpack(answers)}
end
redis.call('ZREM', lease, '')
local is, held = {}, {}
if #members > 0 then is, held = dead(members), redis.call('SMISMEMBER', KEYS[8], unpack(members)) end
local before = first()
for i, member in ipairs(members) do
  local record = redis.call('HGET', tasks, member)
  local next_ms, due_ms, attempt, rest = string.match(record or '', '^(%d+):(%d+):(%d+):(.*)$')
  local at = ARGV[3] == '-1' and tonumber(next_ms) or ms + (tonumber(ARGV[3]) > 0 and 1 + ARGV[3] or 0) -- a part of a millisecond counts as one
  if is[i] then answers[i] = 5 -- dead
  elseif held[i] == 0 then answers[i] = record and 3 or 0 -- elsewhere, absent
  elseif not next_ms then answers[i] = 0 -- absent
  elseif tonumber(ARGV[3]) > 0 and at >= horizon then answers[i] = 4 -- beyond
  else
    answers[i] = 1 -- waiting
    if ARGV[4] == '1' then
      redis.call('HSET', tasks, member, next_ms .. ':' .. due_ms .. ':' .. int(attempt + 1) .. ':' .. rest)
    end
    redis.call('ZADD', waiting, int(at), member)
  end
  if answers[i] ~= 4 then redis.call('SREM', KEYS[8], member) end
end
if redis.call('EXISTS', KEYS[8]) == 0 then redis.call('ZREM', lease, ARGV[2]) end
wake(before)
return {'OK', now, gen, unpack(answers)}
