-- waiting: how many members wait that are next offered before given times.
--
-- ARGV[2]  below_ms, ...  the times, at most 1000
-- RETURNS  {OK, now, generation, loaded_ms, loaded_id, count, ...}
-- COST     O(k log n)
-- A repeat is harmless: it reads.
if not gen or server() ~= origin then return {'COLD', now, 0} end
local counts = {}
for i = 2, #ARGV do counts[i - 1] = redis.call('ZCOUNT', waiting, '-inf', '(' .. ARGV[i]) end
return {'OK', now, gen, loaded_ms, loaded_id, unpack(counts)}
