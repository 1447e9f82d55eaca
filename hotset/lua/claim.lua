-- claim: move due members into a new batch, oldest first; or return the batch that has that token already.
--
-- KEYS[8]  batch  set   members of the batch
-- ARGV[2]  token        of the batch
-- ARGV[3]  limit        most members to take, 0 to 1000
-- ARGV[4]  lease_ms     length of the lease
-- ARGV[5]  bytes        of records that the answer may hold whole; 0 for a batch that is there already, whose answer was lost: it
--                       was too much, perhaps. A record that does not fit comes without its payload, flagged x: its row has it.
-- RETURNS  {OK, now, generation, ms of the next one that waits or 0, loaded_ms, 1 if the batch was there, {member, ...},
--          {record or nil, ...}}
-- COST     O(limit log n), no loop over members unless their records may not fit
-- Invariant: a member is in waiting or in one batch, never in both. The first write is not deny-oom.
-- A repeat is harmless: it finds the batch of its token.
if not gen then return {'COLD', now, 0} end
local members, room, found = {}, tonumber(ARGV[5]), 0
if redis.call('EXISTS', KEYS[8]) == 1 then
  if m[10] ~= server() then return {'COLD', now, 0} end -- a batch of old data may have been reaped since
  members, room, found = redis.call('SMEMBERS', KEYS[8]), 0, 1
  redis.call('ZREM', lease, ARGV[2])
  redis.call('ZADD', lease, int(ms + 1 + ARGV[4]), ARGV[2])
else
  local f = first()
  if f and f <= ms and tonumber(ARGV[3]) > 0 then
    if server() ~= m[10] then return {'COLD', now, 0} end
    members = redis.call('ZRANGE', waiting, '-inf', int(ms), 'BYSCORE', 'LIMIT', 0, ARGV[3])
    redis.call('ZREMRANGEBYRANK', waiting, 0, #members - 1)
    redis.call('SADD', KEYS[8], unpack(members))
    redis.call('ZADD', lease, int(ms + 1 + ARGV[4]), ARGV[2])
  else
    return {'OK', now, gen, f or 0, tonumber(m[6]), 0, {}, {}}
  end
end
local longest, records = tonumber(m[14] or nil), {}
if longest and (longest + 10) * #members <= room then -- an attempt more may be a digit more
  records = redis.call('HMGET', tasks, unpack(members))
else -- some at a time, for all may be more than the server has memory
  local step = math.max(1, math.min(100, math.floor(1048576 / (longest or 10000))))
  for i = 1, #members, step do
    for _, record in ipairs(redis.call('HMGET', tasks, unpack(members, i, math.min(i + step - 1, #members)))) do
      local head = record and #record > room and string.match(record, '^(%d+:%d+:%d+:)%w:.')
      if record and not head then room = room - #record end
      records[#records + 1] = head and head .. 'x:' or record
    end
  end
end
return {'OK', now, gen, first() or 0, tonumber(m[6]), found, members, records}
