-- sweep: some of the members that have an entry, wherever they are: their names alone, because entries may be long.
--
-- ARGV[2]  cursor  of the last answer, 0 at first
-- ARGV[3]  count   about how many
-- RETURNS  {OK, now, generation or 0, cursor: 0 at the end, {member, ...}}
-- COST     O(count)
-- A repeat is harmless: it reads.
local cursor, count = ARGV[2], ARGV[3]
local page, members = redis.call('HSCAN', tasks, cursor, 'COUNT', count), {}
for i = 1, #page[2], 2 do members[#members + 1] = page[2][i] end
return {'OK', now, gen or 0, page[1], members}
