-- prelude: comes before every partition script. It names keys, reads clock and meta, and refuses a partition of another layout.
--
-- KEYS[1]  meta   hash  gen, start (us), server, horizon (ms), loaded_ms, loaded_id, epoch, period, partitions, format, identity,
--                      gone0, gone1, gone2: the period of the tombstones in each set; longest: no entry of the generation is longer;
--                      pause: "seq until" of the pause that the partition has heard of; rate_us: where claim.lua counts on;
--                      caller: what ARGV[1] of a caller is that knows this generation as the current one, and of no pause
-- KEYS[2]  waiting zset member -> next_ms, when it is next offered: the members that wait
-- KEYS[3]  task   hash  member -> its entry (keys.go; head_of reads it), of waiting and of claimed members
-- KEYS[4]  lease  zset  token -> ms at which the batch's lease ends
-- KEYS[5]  gone:0 set   members that were removed in a period k of T with k % 3 = 0, and marks (remove.lua); 1 and 2 likewise
-- KEYS[6]  gone:1 set
-- KEYS[7]  gone:2 set
-- ARGV[1]  caller       "partitions identity generation": the caller's number of partitions, the identity of its durable store,
--                      and the current generation, as that store records it; the last two are empty where the caller knows neither.
--                      Then " seq until", if the store records a pause
-- RETURNS  {status, now, generation or 0, ...}: OK, COLD, STALE, ABORT, MISMATCH, OTHER; now in us
-- Invariant (OneGeneration): on a partition whose generation is not current nothing is read or changed. The exceptions are
-- horizon and state, whose name is in `verb`: they go on, and take the partition for cold.
-- Invariant: now, which every answer carries and by which an as_of ages, falls by less than T even if the server's clock steps
-- back: the period is a floor for it, and each script advances the period. So a tombstone outlives every as_of from before it.
-- Due times and ends of leases go by the server's clock itself (us, ms). A lease's part of a millisecond counts as one.
local meta, waiting, tasks, lease = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local T, FORMAT = 10000000, '3' -- task.TombstoneTTL in us, and entryFormat of keys.go
-- what a script answers of a member: the codes of outcome.go
local ABSENT, WAITING, CLAIMED, ELSEWHERE, BEYOND, DEAD, ORPHAN, PRESENT, ASK_AGAIN = 0, 1, 2, 3, 4, 5, 6, 7, 8
local clock = redis.call('TIME')
local us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local ms = math.floor(us / 1000)
-- the fields of meta that scripts use; false where there is none
local gen, parts_recorded, format, start, horizon, loaded_ms, loaded_id, epoch, period, origin, gone0, gone1, gone2, longest,
  owner, pause, expected = unpack(redis.call('HMGET', meta, 'gen', 'partitions', 'format', 'start', 'horizon', 'loaded_ms', 'loaded_id', 'epoch',
  'period', 'server', 'gone0', 'gone1', 'gone2', 'longest', 'identity', 'pause', 'caller'))
-- tonumber(false) is nil
gen, start, horizon, loaded_ms, epoch, longest = tonumber(gen), tonumber(start), tonumber(horizon), tonumber(loaded_ms), tonumber(epoch), tonumber(longest)
period = tonumber(period) or 0
local gone_period = {[0] = tonumber(gone0), tonumber(gone1), tonumber(gone2)}
local now = math.max(us, period * T)
local caller, parts, identity, current, told_pause = ARGV[1], nil, nil, nil, ''
if caller ~= expected or format ~= FORMAT or verb == 'horizon' then -- otherwise it is known that all of it agrees
  parts, identity, current, told_pause = string.match(caller, '^(%d+) (%w*) (%d*) ?(.*)$')
  if owner == '' then owner = false end -- the process that began the generation did not know the identity of its durable store
  if gen and (parts_recorded ~= parts or format ~= FORMAT or identity ~= '' and owner and owner ~= identity) then
    return {'MISMATCH', now, gen, parts_recorded, format, owner or ''}
  end
  if gen and identity ~= '' and not owner then gen = nil end -- an older version began it, so its durable store is unknown
end
local stored_gen = gen -- the generation that the partition has, current or not
local not_current = gen and current and current ~= '' and gen ~= tonumber(current)
if not_current then
  if verb ~= 'horizon' and verb ~= 'state' then return {'OTHER', now, gen} end
  gen = nil
end

local function int(x) return string.format('%.0f', x) end

-- The pause, as text and as numbers: the greater seq of what the partition has stored and what the caller has read counts, so that a
-- call that comes late changes nothing. No claim takes anything until pause_until (ms); 0: there is no pause.
local pause_seq, pause_until = 0, 0
if told_pause ~= '' and (not pause or tonumber(string.match(told_pause, '^%d+')) > tonumber(string.match(pause, '^%d+'))) then pause = told_pause end
if pause then
  pause_seq, pause_until = string.match(pause, '^(%d+) (%d+)$')
  pause_seq, pause_until = tonumber(pause_seq), tonumber(pause_until)
else
  pause = '0 0'
end

local function info(section)
  local text = redis.pcall('INFO', section)
  if type(text) ~= 'string' and not string.find(text.err, 'not supported') then redis.call('INFO', section) end -- raises the error
  return type(text) == 'string' and text or ''
end

local function field(text, name) -- a search for a plain text is much faster than one for a pattern
  local _, last = string.find(text, name, 1, true)
  return last and string.match(text, '^%w+', last + 1)
end

-- the identity of the server and of its data: a server that restarted or took over has another run_id; one that was a replica
-- meanwhile has another master's data, and another master_replid since it was promoted. (A server that gets the first replica of
-- its life has another master_replid too.)
local function server()
  local both = redis.pcall('INFO', 'server', 'replication') -- of two sections at once since Redis 7.0
  if type(both) ~= 'string' then both = info('server') .. info('replication') end
  local run = field(both, 'run_id:')
  return run and run .. ':' .. (field(both, 'master_replid:') or '') or ''
end

local function each(command, key, args) -- in pieces that unpack can take
  for i = 1, #args, 1000 do redis.call(command, key, unpack(args, i, math.min(i + 999, #args))) end
end

-- whether an as_of is of this generation, and not older than the tombstones reach back (AsOfBeforeRead)
local function valid_as_of(generation, at_us) return tonumber(generation) == gen and tonumber(at_us) >= now - T end

-- begins the period of T that now is in, and drops the tombstones that are older than two periods; UNLINK is not deny-oom
local now_period = math.floor(now / T)
if gen and now_period > period then
  for k = math.max(period + 1, now_period - 2), now_period do redis.call('UNLINK', KEYS[5 + k % 3]) end
  redis.call('HSET', meta, 'period', int(now_period))
  period = now_period
end

-- A set of tombstones that should exist and does not was lost alone, as by an eviction. An add with an as_of from before could
-- then bring back a removed member. So the partition is cold, as if all its data were lost, and each earlier as_of is invalid.
local gone = {} -- the sets of tombstones that should exist
for k = 0, 2 do
  if gen and (gone_period[k] or -3) > period - 3 then gone[#gone + 1] = KEYS[5 + k] end
end
if #gone > 0 and redis.call('EXISTS', unpack(gone)) < #gone then gen = nil end

local function tombstoned(members) -- by index: which of at most 1000 members have a tombstone
  local has = {}
  for _, set in ipairs(gone) do
    for i, v in ipairs(redis.call('SMISMEMBER', set, unpack(members))) do if v == 1 then has[i] = true end end
  end
  return has
end

-- what an entry begins with (keys.go): next_ms as a number; due_ms, empty if it is next_ms, and the attempts, empty if there are none, as
-- text; the flag where the entry has none; and where its rest begins, with the flag if it has one. nil for what is no entry.
local function head_of(entry)
  local next_ms, due_ms, attempt, at = string.match(entry, '^(%d+):(%d*):(%d*):()')
  if next_ms then return tonumber(next_ms), due_ms, attempt, '', at end
  local high, low = tonumber(string.sub(entry, 1, 4), 36), tonumber(string.sub(entry, 5, 8), 36) -- in halves: a long may have 32 bits
  if high and low then return high * 1679616 + low, '', '', 'i:', 9 end
end

local function without_payload(entry) -- and without headers; as it is if it has neither
  local next_ms, due_ms, attempt, flag, at = head_of(entry)
  return next_ms and #flag + #entry > at + 1 and int(next_ms) .. ':' .. due_ms .. ':' .. attempt .. ':x:' or entry
end

-- raises longest to the length of an entry that is about to be stored; if longest is unknown it stays unknown
local function raise_longest(length)
  if longest and longest < length then redis.call('HSET', meta, 'longest', int(length)); longest = length end
end

local function first_ms() -- when the first waiting member is next offered, nil if none waits
  local first = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
  return tonumber(first[2] or nil)
end

local function offered_by(last, limit) -- the first members that are offered by then, and when (ms)
  local members, offered, both = {}, {}, redis.call('ZRANGE', waiting, '-inf', int(last), 'BYSCORE', 'LIMIT', 0, limit, 'WITHSCORES')
  for i = 1, #both, 2 do members[#members + 1] = both[i]; offered[#offered + 1] = both[i + 1] end
  return members, offered
end

local function wake(before) -- wakes the processes that sleep, if a member now waits that is offered earlier than all before
  local first = first_ms()
  if first and (not before or first < before) then redis.call('PUBLISH', string.gsub(waiting, ':waiting$', ':wake'), int(first)) end
end

-- adds the members that ARGV names from ARGV[from] on: member, next_ms, entry; at most 1000. Returns an answer for each member
-- (WAITING: added, PRESENT: was a member before, BEYOND, DEAD), and how many it added.
local function add_members(from)
  local members, answers, scores, entries = {}, {}, {}, {}
  for i = from, #ARGV, 3 do members[#members + 1] = ARGV[i] end
  if #members == 0 then return answers, 0 end
  local has_tombstone, stored, length = tombstoned(members), redis.call('HMGET', tasks, unpack(members)), 0
  for i, member in ipairs(members) do
    local next_ms, entry = ARGV[from + 3 * i - 2], ARGV[from + 3 * i - 1]
    if has_tombstone[i] then answers[i] = DEAD
    elseif tonumber(next_ms) >= horizon then answers[i] = BEYOND
    elseif stored[i] then answers[i] = PRESENT
    else
      answers[i] = WAITING
      scores[#scores + 1] = next_ms; scores[#scores + 1] = member
      entries[#entries + 1] = member; entries[#entries + 1] = entry
      length = math.max(length, #entry)
    end
  end
  local before = first_ms()
  raise_longest(length)
  each('HSET', tasks, entries)
  each('ZADD', waiting, scores)
  if #scores > 0 then wake(before) end
  return answers, #scores / 2
end

-- how many members a claim may take of limit (MaxInFlight, NamespaceRate; 0: no limit): that, when interval_us allows one more (ms) if
-- it is what leaves no more, 1 if most is, and the time up to which earlier claims have counted on.
local function allowed(limit, most, interval_us)
  local again_ms, full, counted_us = 0, 0, nil
  local left = most == 0 and limit or math.max(0, most - (redis.call('HLEN', tasks) - redis.call('ZCARD', waiting)))
  if left < limit then limit, full = left, 1 end
  if interval_us > 0 then
    counted_us = math.min(us, math.max(tonumber(redis.call('HGET', meta, 'rate_us')) or 0, us - math.max(1000000, interval_us)))
    left = math.floor((us - counted_us) / interval_us)
    if left < limit then limit, full, again_ms = left, 0, math.ceil((counted_us + (left + 1) * interval_us) / 1000) end
  end
  return limit, again_ms, full, counted_us
end
