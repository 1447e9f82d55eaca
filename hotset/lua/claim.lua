-- claim: move members that are due, or soon will be, into a new batch, oldest first; or return the batch that has that token already.
--
-- KEYS[8]  batch  set   members of the batch
-- ARGV[2]  token        of the batch
-- ARGV[3]  limit        most members to take, 0 to 1000
-- ARGV[4]  lease_ms     length of the lease
-- ARGV[5]  bytes        of entries that the answer may hold whole. An entry that does not fit comes without its payload, flagged x:
--                       the row has it. For a batch that exists already bytes is 0: its answer was lost, perhaps because of its size.
-- ARGV[6]  most         members that may be claimed at a time (MaxInFlight), 0: any number
-- ARGV[7]  interval_us  between two claimed members (NamespaceRate), 0: none
-- ARGV[8]  ahead_ms     how long before it is due a member may be taken (ClaimAhead)
-- ARGV[9]  ahead_limit  most members to take if one of them is not due yet, 0 to limit
-- RETURNS  {OK, now, generation, next_ms of the first waiting member or 0, loaded_ms, 1 if the batch existed, {member, ...},
--          {entry or nil, ...}, seq and until (ms) of the pause, ms at which interval_us allows the next member or 0, 1 if most are claimed,
--          {ms at which the member is offered, ...}, none if all are due}
-- While the server's clock is behind `now` nothing is taken ahead, because the worker counts from `now`, or from TIME right after this script, when each member is due.
-- COST     O(limit log n), no loop over members unless their entries may not fit
-- Invariant: a member is in waiting or in one batch, never in both. The first write is not deny-oom.
-- rate_us is the time up to which members were claimed, at one each interval_us. It lags by at most a second, or by one interval.
-- A repeat is harmless: it finds the batch of its token, also in a pause.
local batch, token, limit, lease_ms, bytes, most, interval_us, ahead_ms, ahead_limit = KEYS[8], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local function nothing(first, again_ms, full) -- is claimed
  return {'OK', now, gen, first or 0, loaded_ms, 0, {}, {}, pause_seq, pause_until, again_ms, full, {}}
end
if not gen then return {'COLD', now, 0} end
local members, offered, room, existed, again_ms, full, counted_us = {}, {}, tonumber(bytes), 0, 0, 0, nil
if redis.call('EXISTS', batch) == 1 then
  if origin ~= server() then return {'COLD', now, 0} end -- a batch of old data may have been reaped since
  members, room, existed = redis.call('SMEMBERS', batch), 0, 1
  redis.call('ZREM', lease, token)
  redis.call('ZADD', lease, int(ms + 1 + lease_ms), token)
else
  local first, ahead = first_ms(), now == us and tonumber(ahead_limit) or 0
  local last = ahead > 0 and ms + ahead_ms or ms
  if not first or first > last or limit == '0' or pause_until > ms then return nothing(first, 0, 0) end
  if server() ~= origin then return {'COLD', now, 0} end
  limit, again_ms, full, counted_us = allowed(tonumber(limit), tonumber(most), tonumber(interval_us))
  if limit == 0 then return nothing(first, again_ms, full) end
  members = redis.call('ZRANGE', waiting, '-inf', int(ms), 'BYSCORE', 'LIMIT', 0, limit)
  if #members < ahead then members, offered = offered_by(last, math.min(limit, ahead)) end
  redis.call('ZREMRANGEBYRANK', waiting, 0, #members - 1)
  redis.call('SADD', batch, unpack(members))
  redis.call('ZADD', lease, int(ms + 1 + lease_ms), token)
  if #members < limit then again_ms, full = 0, 0 end -- no more was due
  if counted_us then redis.call('HSET', meta, 'rate_us', string.format('%.3f', counted_us + #members * interval_us)) end
end
local entries = {}
if longest and (longest + 20) * #members <= room then -- an attempt makes an entry longer: by 11 bytes at first, by 20 in all
  entries = redis.call('HMGET', tasks, unpack(members))
else -- in pieces of about 1 MiB, because all entries may be more than the server has memory
  local piece = math.max(1, math.min(100, math.floor(1048576 / (longest or 10000))))
  for i = 1, #members, piece do
    for _, entry in ipairs(redis.call('HMGET', tasks, unpack(members, i, math.min(i + piece - 1, #members)))) do
      if entry and #entry > room then entry = without_payload(entry) else room = room - (entry and #entry or 0) end
      entries[#entries + 1] = entry
    end
  end
end
return {'OK', now, gen, first_ms() or 0, loaded_ms, existed, members, entries, pause_seq, pause_until, again_ms, full, offered}
