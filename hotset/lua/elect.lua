-- elect: stand for roles, renew those held, or resign. (This one stands without the prelude.)
--
-- KEYS[1]  agent  hash  role:holder, role:until (ms), role:epoch
-- ARGV[1]  holder       who stands
-- ARGV[2]  term_ms      length of a term; 0: resign
-- ARGV[3]  role, ...
-- RETURNS  {OK, us, 0, held, epoch, ms left, 1 if the term is new, ...}
-- COST     O(roles)
-- Invariant: the epoch of a next holder is greater, also after a flush: it is the time if that is greater.
-- A repeat is harmless: the holder renews.
local clock = redis.call('TIME')
local us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local ms, out, fields = math.floor(us / 1000), {}, {}
local function int(x) return string.format('%.0f', x) end
local changes = {}
local function set(...) for _, v in ipairs({...}) do changes[#changes + 1] = v end end
for i = 3, #ARGV do
  for _, field in ipairs({':holder', ':until', ':epoch'}) do fields[#fields + 1] = ARGV[i] .. field end
end
local a = #fields > 0 and redis.call('HMGET', KEYS[1], unpack(fields)) or {}
for i = 3, #ARGV do
  local role, at = ARGV[i], 3 * (i - 3)
  local ends, epoch = tonumber(a[at + 2] or 0), tonumber(a[at + 3] or 0)
  local mine, held, new = a[at + 1] == ARGV[1] and ends > ms, 0, 0
  if ARGV[2] == '0' then
    if mine then set(role .. ':until', '0'); ends = ms end
  elseif mine or ends <= ms then
    if not mine then epoch, new = math.max(epoch + 1, us), 1 end
    held, ends = 1, ms + ARGV[2]
    set(role .. ':holder', ARGV[1], role .. ':until', int(ends), role .. ':epoch', int(epoch))
  end
  out[#out + 1] = held; out[#out + 1] = epoch; out[#out + 1] = math.max(0, ends - ms); out[#out + 1] = new
end
if #changes > 0 then
  redis.call('HDEL', KEYS[1], '') -- not deny-oom: roles are held at maxmemory too
  redis.call('HSET', KEYS[1], unpack(changes))
end
return {'OK', us, 0, unpack(out)}
