-- workers: have workers tell of themselves, and return what they told, and which of them holds a role. (This script has no prelude.)
--
-- KEYS[1]  agent    hash  identity, watched (until when a process asks, ms), asked (since when, ms), role:holder, role:until (ms)
-- KEYS[2]  worker   hash  worker -> ms:report
-- ARGV[1]  identity       of the caller's durable store, or empty
-- ARGV[2]  watch_ms       for how long after this call workers tell of themselves
-- ARGV[3]  keep_ms        how long ago a worker told at most; others are forgotten
-- ARGV[4]  limit          of workers
-- ARGV[5]  role, ...
-- RETURNS  {OK, us, 0, since when a process asks (ms), {worker, ms:report, ...}, {holder or '', ...}} or {MISMATCH, us, 0, identity}
-- COST     O(workers + roles)
-- A repeat is harmless: it asks once more.
local agent, worker, identity, watch_ms, keep_ms, limit = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local clock = redis.call('TIME')
local us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local ms = math.floor(us / 1000)
local function int(x) return string.format('%.0f', x) end
local values = redis.call('HMGET', agent, 'identity', 'watched', 'asked')
local owner, watched, asked = values[1], tonumber(values[2] or 0), tonumber(values[3] or 0)
if owner and identity ~= '' and owner ~= identity then return {'MISMATCH', us, 0, owner} end
if watched <= ms then asked = ms end
redis.call('HDEL', agent, '') -- not deny-oom: workers are seen at maxmemory too
redis.call('HSET', agent, 'watched', int(ms + watch_ms), 'asked', int(asked))
local all, told, holders = redis.call('HGETALL', worker), {}, {}
for i = 1, #all, 2 do
  if tonumber(string.match(all[i + 1], '^%d+') or 0) < ms - keep_ms then
    redis.call('HDEL', worker, all[i])
  elseif #told < 2 * limit then
    told[#told + 1] = all[i]; told[#told + 1] = all[i + 1]
  end
end
for i = 5, #ARGV do
  local holds = redis.call('HMGET', agent, ARGV[i] .. ':holder', ARGV[i] .. ':until')
  holders[#holders + 1] = holds[1] and tonumber(holds[2]) > ms and holds[1] or ''
end
return {'OK', us, 0, asked, told, holders}
