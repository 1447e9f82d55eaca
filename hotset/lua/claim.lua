-- claim: move due members into a new batch, oldest first; or return the batch that has that token already.
--
-- KEYS[8]  batch  set   members of the batch
-- ARGV[2]  token        of the batch
-- ARGV[3]  limit        most members to take, 0 to 1000
-- ARGV[4]  lease_ms     length of the lease
-- RETURNS  {OK, now, generation, ms of the next one that waits or 0, loaded_ms, {member, ...}, {record or nil, ...}}
-- COST     O(limit log n), no loop over members
-- Invariant: a member is in due or in one batch, never in both. The first write is not deny-oom.
-- A repeat is harmless: it finds the batch of its token.
if not gen then return {'COLD', now, 0} end
local members = {}
if redis.call('EXISTS', KEYS[8]) == 1 then
  if m[10] ~= run_id() then return {'COLD', now, 0} end -- a batch of old data may have been reaped since
  members = redis.call('SMEMBERS', KEYS[8])
  redis.call('ZREM', lease, ARGV[2])
  redis.call('ZADD', lease, int(ms + 1 + ARGV[4]), ARGV[2])
else
  local f = first()
  if f and f <= ms and tonumber(ARGV[3]) > 0 then
    if run_id() ~= m[10] then return {'COLD', now, 0} end
    members = redis.call('ZRANGE', due, '-inf', int(ms), 'BYSCORE', 'LIMIT', 0, ARGV[3])
    redis.call('ZREMRANGEBYRANK', due, 0, #members - 1)
    redis.call('SADD', KEYS[8], unpack(members))
    redis.call('ZADD', lease, int(ms + 1 + ARGV[4]), ARGV[2])
  else
    return {'OK', now, gen, f or 0, tonumber(m[6]), {}, {}}
  end
end
return {'OK', now, gen, first() or 0, tonumber(m[6]), members, redis.call('HMGET', tasks, unpack(members))}
