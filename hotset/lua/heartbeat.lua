-- heartbeat: keep what a worker tells of itself, and when, or forget the worker. (This script has no prelude.)
--
-- KEYS[1]  agent    hash  identity
-- KEYS[2]  worker   hash  worker -> ms:report
-- ARGV[1]  identity       of the caller's durable store, or empty
-- ARGV[2]  name           the worker that tells
-- ARGV[3]  report         what it tells; empty: it ends
-- RETURNS  {OK, us, 0} or {MISMATCH, us, 0, identity}
-- COST     O(1)
-- A repeat is harmless: the same is kept.
local agent, worker, identity, name, report = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
local clock = redis.call('TIME')
local us = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local owner = redis.call('HGET', agent, 'identity')
if owner and identity ~= '' and owner ~= identity then return {'MISMATCH', us, 0, owner} end
redis.call('HDEL', worker, name) -- not deny-oom: workers are seen at maxmemory too
if report ~= '' then redis.call('HSET', worker, name, string.format('%.0f:', math.floor(us / 1000)) .. report) end
return {'OK', us, 0}
