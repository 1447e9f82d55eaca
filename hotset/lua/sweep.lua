-- sweep: some of the members that have a record, wherever they are: their names alone, for records may be long.
--
-- ARGV[2]  cursor  of the last answer, 0 at first
-- ARGV[3]  count   about how many
-- RETURNS  {OK, now, generation or 0, cursor: 0 at the end, {member, ...}}
-- COST     O(count)
-- A repeat is harmless: it reads.
local page, members = redis.call('HSCAN', tasks, ARGV[2], 'COUNT', ARGV[3]), {}
for i = 1, #page[2], 2 do members[#members + 1] = page[2][i] end
return {'OK', now, gen or 0, page[1], members}
