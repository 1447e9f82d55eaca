-- prelude: stands before every partition script; names its keys, reads clock and meta, and refuses another layout.
--
-- KEYS[1]  meta   hash  gen, start (us), server, horizon (ms), loaded_ms, loaded_id, epoch, period, partitions, format, identity,
--                      gone0, gone1, gone2: the period of the tombstones in each set; longest: no record of the generation is longer
-- KEYS[2]  waiting zset member -> next_ms, when it is next offered: the members that wait
-- KEYS[3]  task   hash  member -> next_ms:due_ms:attempt:flag:rest (keys.go), of members that wait and of those that are claimed
-- KEYS[4]  lease  zset  token -> ms at which the batch's lease ends
-- KEYS[5]  gone:0 set   members that were removed in a period k of T with k % 3 = 0, and marks (remove.lua); 1 and 2 likewise
-- KEYS[6]  gone:1 set
-- KEYS[7]  gone:2 set
-- ARGV[1]  caller       "partitions identity generation": what it was made with, the identity of its durable store, and the
--                      current generation, as that records; a caller that knows none of the last two leaves them empty
-- RETURNS  {status, now, generation or 0, ...}: OK, COLD, STALE, ABORT, MISMATCH, OTHER; now in us
-- Invariant (OneGeneration): on a partition whose generation is not current nothing is read or changed. Only horizon
-- and state, whose verb stands before the prelude, go on, and take it for cold.
-- Invariant: now, which is told and by which knowledge ages, falls by less than T even if the server's clock steps back:
-- the period is a floor for it, and each script advances it. So a tombstone outlives all knowledge that is older than it.
-- What is due and when a lease ends goes by the server's clock itself (us, ms); a lease's part of a millisecond counts as one.
local meta, waiting, tasks, lease = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local T = 10000000
local clock = redis.call('TIME')
local us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local ms = math.floor(us / 1000)
local m = redis.call('HMGET', meta, 'gen', 'partitions', 'format', 'start', 'horizon', 'loaded_ms', 'loaded_id', 'epoch', 'period', 'server',
  'gone0', 'gone1', 'gone2', 'longest', 'identity')
if m[15] == '' then m[15] = false end -- whoever began it was told nothing
local parts, identity, counts = string.match(ARGV[1], '^(%d+) (%w*) (%d*)$')
local gen, horizon, period = tonumber(m[1] or nil), tonumber(m[5] or nil), tonumber(m[9] or 0)
local now = math.max(us, period * T)
if gen and (m[2] ~= parts or m[3] ~= '2' or identity ~= '' and m[15] and m[15] ~= identity) then
  return {'MISMATCH', now, gen, m[2], m[3], m[15] or ''}
end
if gen and identity ~= '' and not m[15] then gen = nil end -- of an older version: whose it is nobody knows
local stood = gen -- what the partition has, whether it counts or not
local other = gen and counts ~= '' and gen ~= tonumber(counts)
if other then
  if verb ~= 'horizon' and verb ~= 'state' then return {'OTHER', now, gen} end
  gen = nil
end

local function int(x) return string.format('%.0f', x) end

local function info(section)
  local text = redis.pcall('INFO', section)
  if type(text) ~= 'string' and not string.find(text.err, 'not supported') then redis.call('INFO', section) end -- the error is told
  return type(text) == 'string' and text or ''
end

-- whose data this is: a server that restarted or took over has another run_id; one that was a replica meanwhile, and so has
-- another's data, has another master_replid since it was promoted. (So has one that gets the first replica of its life.)
local function server()
  local both = redis.pcall('INFO', 'server', 'replication') -- of two sections at once since Redis 7.0
  if type(both) ~= 'string' then both = info('server') .. info('replication') end
  local run = string.match(both, 'run_id:(%w+)')
  return run and run .. ':' .. (string.match(both, 'master_replid:(%w+)') or '') or ''
end

local function each(command, key, args) -- in pieces that unpack can take
  for i = 1, #args, 1000 do redis.call(command, key, unpack(args, i, math.min(i + 999, #args))) end
end

local function fresh(g, at) return tonumber(g) == gen and tonumber(at) >= now - T end

-- begins the period of T that it is, and drops the tombstones that are older than two of them; UNLINK is not deny-oom
local p = math.floor(now / T)
if gen and p > period then
  for k = math.max(period + 1, p - 2), p do redis.call('UNLINK', KEYS[5 + k % 3]) end
  redis.call('HSET', meta, 'period', int(p))
  period = p
end

-- A set of tombstones that should be there and is not was lost alone, as by an eviction: what is known from before would bring
-- back who was removed. So the partition is cold, as if all were lost, and what is known is of another generation.
for k = 0, 2 do
  if gen and tonumber(m[11 + k] or -3) > period - 3 and redis.call('EXISTS', KEYS[5 + k]) == 0 then gen = nil end
end

local function dead(members) -- at most 1000
  local is = {}
  for k = 5, 7 do
    if redis.call('EXISTS', KEYS[k]) == 1 then
      for i, v in ipairs(redis.call('SMISMEMBER', KEYS[k], unpack(members))) do if v == 1 then is[i] = true end end
    end
  end
  return is
end

-- notes the length of the longest record that is about to go in; where that is not known of those that are in it stays so
local function note(longest)
  if tonumber(m[14] or longest) < longest then redis.call('HSET', meta, 'longest', int(longest)); m[14] = longest end
end

local function first()
  local f = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
  return tonumber(f[2] or nil)
end

local function wake(before) -- sleepers, if somebody waits who is earlier than all were
  local f = first()
  if f and (not before or f < before) then redis.call('PUBLISH', string.gsub(waiting, ':waiting$', ':wake'), int(f)) end
end

-- takes entries in from ARGV[from] on: member, next_ms, record; at most 1000. Answers 1 waiting (taken), 7 present (in
-- before), 4 beyond, 5 dead; and how many were taken
local function take(from)
  local members, answers, scores, records = {}, {}, {}, {}
  for i = from, #ARGV, 3 do members[#members + 1] = ARGV[i] end
  if #members == 0 then return answers, 0 end
  local is, have, longest = dead(members), redis.call('HMGET', tasks, unpack(members)), 0
  for i, member in ipairs(members) do
    local at, record = ARGV[from + 3 * i - 2], ARGV[from + 3 * i - 1]
    if is[i] then answers[i] = 5 -- dead
    elseif tonumber(at) >= horizon then answers[i] = 4 -- beyond
    elseif have[i] then answers[i] = 7 -- present
    else
      answers[i] = 1 -- waiting
      scores[#scores + 1] = at; scores[#scores + 1] = member
      records[#records + 1] = member; records[#records + 1] = record
      longest = math.max(longest, #record)
    end
  end
  local before = first()
  note(longest)
  each('HSET', tasks, records)
  each('ZADD', waiting, scores)
  if #scores > 0 then wake(before) end
  return answers, #scores / 2
end
