-- elect: ask for roles, renew those held, or resign. (This script has no prelude.)
--
-- KEYS[1]  agent  hash   identity, watched (workers.lua), role:holder, role:until (ms), role:epoch
-- ARGV[1]  identity      of the caller's durable store, or empty
-- ARGV[2]  candidate     the process that asks
-- ARGV[3]  term_ms       length of a term; 0: resign
-- ARGV[4]  role, ...
-- Those who watch are told "kept:identity:term_ms:role,role", the roles that were renewed or are new: then they need not ask. They are not told
-- while a process asks for the workers, because each worker hears of that from its next election.
-- RETURNS  {OK, us, 0, held, epoch, ms left, 1 if the term is new, 1 if a process asks for the workers, ...} or {MISMATCH, us, 0, identity}
-- COST     O(roles)
-- Invariant: the epoch of a next holder is greater, also after a flush: it is the time if that is greater.
-- A repeat is harmless: the holder renews.
local agent, identity, candidate, term_ms = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local clock = redis.call('TIME')
local us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local ms = math.floor(us / 1000)
local function int(x) return string.format('%.0f', x) end
local changes, fields, out, kept = {}, {'identity', 'watched'}, {}, {}
local function set(...) for _, v in ipairs({...}) do changes[#changes + 1] = v end end
for i = 4, #ARGV do
  for _, field in ipairs({':holder', ':until', ':epoch'}) do fields[#fields + 1] = ARGV[i] .. field end
end
local values = redis.call('HMGET', agent, unpack(fields))
local owner = values[1] -- the identity of the durable store that the roles belong to
local watched = tonumber(values[2] or 0) > ms and 1 or 0
if owner and identity ~= '' and owner ~= identity then return {'MISMATCH', us, 0, owner} end
for i = 4, #ARGV do
  local role, holder, ends, epoch = ARGV[i], unpack(values, 3 * (i - 4) + 3, 3 * (i - 4) + 5)
  ends, epoch = tonumber(ends or 0), tonumber(epoch or 0)
  local mine, held, new = holder == candidate and ends > ms, 0, 0
  if term_ms == '0' then
    if mine then set(role .. ':until', '0'); ends = ms end
  elseif mine or ends <= ms then
    if not mine then epoch, new = math.max(epoch + 1, us), 1 end
    held, ends = 1, ms + term_ms
    kept[#kept + 1] = role
    set(role .. ':holder', candidate, role .. ':until', int(ends), role .. ':epoch', int(epoch))
  end
  out[#out + 1] = held; out[#out + 1] = epoch; out[#out + 1] = math.max(0, ends - ms); out[#out + 1] = new
  out[#out + 1] = watched
end
if #changes > 0 and not owner and identity ~= '' then set('identity', identity) end
if #changes > 0 then
  local done = redis.pcall('HSET', agent, unpack(changes))
  if type(done) == 'table' and done.err then -- at maxmemory, perhaps
    redis.call('HDEL', agent, '') -- not deny-oom: roles are held at maxmemory too
    redis.call('HSET', agent, unpack(changes))
  end
end
local told = 'kept:' .. identity .. ':' .. term_ms .. ':' .. table.concat(kept, ',')
if #kept > 0 and watched == 0 then redis.call('PUBLISH', string.gsub(agent, ':agent$', ':wake'), told) end
return {'OK', us, 0, unpack(out)}
