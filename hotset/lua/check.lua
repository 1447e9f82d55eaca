-- check: try each command that the scripts use, on a key of its own, and return those that fail. (This script has no prelude.)
--
-- KEYS[1]  scratch  no key, before and after
-- KEYS[2]  key, ...  of the partition: named, so that the server checks the right to them
-- ARGV[1]  channel  to publish to
-- ARGV[2]  message
-- RETURNS  {OK, us, 0, INFO server and replication or '', INFO cluster or '', {command, error, ...}}
-- COST     O(1)
-- Invariant: what adds to the scratch key is tried only if all that takes from it may be done.
-- A repeat is harmless: it leaves nothing behind, and wakes the processes that sleep.
local scratch, channel, message = KEYS[1], ARGV[1], ARGV[2]
local failed = {}
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
try('PUBLISH', channel, message)
try('EXISTS', unpack(KEYS, 2))
local failed_before = #failed
try('UNLINK', scratch)
try('HDEL', scratch, 'f')
try('ZREM', scratch, 'f')
try('ZREMRANGEBYRANK', scratch, 0, 0)
try('SREM', scratch, 'f')
local may_remove = #failed == failed_before
if may_remove then try('HSET', scratch, 'f', 'v') end
try('HGET', scratch, 'f')
try('HGETALL', scratch)
try('HMGET', scratch, 'f')
try('HEXISTS', scratch, 'f')
try('HLEN', scratch)
try('HSCAN', scratch, '0')
if may_remove then redis.pcall('UNLINK', scratch); try('ZADD', scratch, 1, 'f') end
try('ZSCORE', scratch, 'f')
try('ZCARD', scratch)
try('ZCOUNT', scratch, 0, 1)
try('ZRANGE', scratch, 0, 0)
if may_remove then redis.pcall('UNLINK', scratch); try('SADD', scratch, 'f') end
try('SMEMBERS', scratch)
try('SISMEMBER', scratch, 'f')
try('SMISMEMBER', scratch, 'f')
redis.pcall('UNLINK', scratch)
return {'OK', us, 0, server, cluster, failed}
