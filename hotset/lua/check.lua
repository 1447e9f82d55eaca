-- check: try each command that the scripts use, on a key of its own, and tell which fail. (This one stands without the prelude.)
--
-- KEYS[1]  scratch  no key, before and after
-- KEYS[2]  keys     of the partition, ...: named, so that the server looks at the right to them
-- ARGV[1]  channel  to publish to
-- ARGV[2]  message
-- RETURNS  {OK, us, 0, INFO server and replication or '', INFO cluster or '', {command, error, ...}}
-- COST     O(1)
-- Invariant: what adds to the scratch key is tried only if all that takes from it may be done.
-- A repeat is harmless: it leaves nothing behind, and wakes who sleeps.
local failed, key = {}, KEYS[1]
local function try(command, ...)
  local got = redis.pcall(command, ...)
  if type(got) == 'table' and got.err then failed[#failed + 1] = command; failed[#failed + 1] = got.err end
  return got
end
local function text(got) return type(got) == 'string' and got or '' end
local clock = try('TIME')
local us = clock.err and 0 or tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local server, cluster = text(try('INFO', 'server')) .. text(try('INFO', 'replication')), text(try('INFO', 'cluster'))
try('INFO', 'memory')
try('PUBLISH', ARGV[1], ARGV[2])
try('EXISTS', unpack(KEYS, 2))
local others = #failed
try('UNLINK', key)
try('HDEL', key, 'f')
try('ZREM', key, 'f')
try('ZREMRANGEBYRANK', key, 0, 0)
try('SREM', key, 'f')
local takes = #failed == others
if takes then try('HSET', key, 'f', 'v') end
try('HGET', key, 'f')
try('HMGET', key, 'f')
try('HEXISTS', key, 'f')
try('HLEN', key)
try('HSCAN', key, '0')
if takes then redis.pcall('UNLINK', key); try('ZADD', key, 1, 'f') end
try('ZSCORE', key, 'f')
try('ZCARD', key)
try('ZCOUNT', key, 0, 1)
try('ZRANGE', key, 0, 0)
if takes then redis.pcall('UNLINK', key); try('SADD', key, 'f') end
try('SMEMBERS', key)
try('SISMEMBER', key, 'f')
try('SMISMEMBER', key, 'f')
redis.pcall('UNLINK', key)
return {'OK', us, 0, server, cluster, failed}
