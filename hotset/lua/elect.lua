-- elect: stand for roles, renew those held, or resign. (This one stands without the prelude.)
--
-- KEYS[1]  agent  hash  identity, role:holder, role:until (ms), role:epoch
-- ARGV[1]  identity     of the caller's durable store, or empty
-- ARGV[2]  holder       who stands
-- ARGV[3]  term_ms      length of a term; 0: resign
-- ARGV[4]  role, ...
-- RETURNS  {OK, us, 0, held, epoch, ms left, 1 if the term is new, ...} or {MISMATCH, us, 0, identity}
-- COST     O(roles)
-- Invariant: the epoch of a next holder is greater, also after a flush: it is the time if that is greater.
-- A repeat is harmless: the holder renews.
local clock = redis.call('TIME')
local us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local ms, out, fields = math.floor(us / 1000), {}, {'identity'}
local function int(x) return string.format('%.0f', x) end
local changes = {}
local function set(...) for _, v in ipairs({...}) do changes[#changes + 1] = v end end
for i = 4, #ARGV do
  for _, field in ipairs({':holder', ':until', ':epoch'}) do fields[#fields + 1] = ARGV[i] .. field end
end
local a = redis.call('HMGET', KEYS[1], unpack(fields))
local of = a[1]
if of and ARGV[1] ~= '' and of ~= ARGV[1] then return {'MISMATCH', us, 0, of} end
for i = 4, #ARGV do
  local role, at = ARGV[i], 3 * (i - 4) + 1
  local ends, epoch = tonumber(a[at + 2] or 0), tonumber(a[at + 3] or 0)
  local mine, held, new = a[at + 1] == ARGV[2] and ends > ms, 0, 0
  if ARGV[3] == '0' then
    if mine then set(role .. ':until', '0'); ends = ms end
  elseif mine or ends <= ms then
    if not mine then epoch, new = math.max(epoch + 1, us), 1 end
    held, ends = 1, ms + ARGV[3]
    set(role .. ':holder', ARGV[2], role .. ':until', int(ends), role .. ':epoch', int(epoch))
  end
  out[#out + 1] = held; out[#out + 1] = epoch; out[#out + 1] = math.max(0, ends - ms); out[#out + 1] = new
end
if #changes > 0 and not of and ARGV[1] ~= '' then set('identity', ARGV[1]) end
if #changes > 0 then
  redis.call('HDEL', KEYS[1], '') -- not deny-oom: roles are held at maxmemory too
  redis.call('HSET', KEYS[1], unpack(changes))
end
return {'OK', us, 0, unpack(out)}
