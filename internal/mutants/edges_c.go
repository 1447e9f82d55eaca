package main

// edgesC are of the rule OneGeneration: one hot set for one durable store.
var edgesC = []mutant{
	{"other-generation-served", "a generation that does not count is served", "hotset/lua/prelude.lua",
		"if verb ~= 'horizon' and verb ~= 'state' then return {'OTHER', now, gen} end", "other = false", "./hotset", "TestSet/redis7/p1/OneGenerationCounts"},
	{"another-server-begins", "a generation begins on whatever server answers", "hotset/lua/horizon.lua",
		" or ARGV[6] ~= '' and ARGV[6] ~= run then", " then", "./hotset", "TestSet/redis7/p1/HorizonLooksBeforeItBegins"},
	{"old-feeder-wipes", "an older feeder takes away the generation that a newer one began", "hotset/lua/horizon.lua",
		"tonumber(ARGV[2]) < tonumber(m[8]) then return {'ABORT', now, stood} end", "false then return {'ABORT', now, stood} end", "./hotset", "TestSet/redis7/p1/AnotherGenerationBegins"},
	{"second-identity-told", "a set serves two durable stores in turn", "hotset/expect.go",
		"if r.told.identity != \"\" && r.told.identity != e.Identity {", "if false {", "./hotset", "TestSet/redis7/p1/TheIdentityIsKept"},
	{"identity-made-anew", "Migrate makes another identity each time", "durable/bolt/bolt.go",
		"			if t.meta.Get([]byte(name)) != nil {\n", "			if t.meta.Get([]byte(name)) != nil && name != task.RecordIdentity {\n", "./durable/bolt", "TestStore/bolt/TheIdentityIsMadeOnce"},
	{"settles-at-once", "what is announced counts at once", "takeover.go",
		"s.Next.Server == server && since >= hold:", "s.Next.Server == server && since >= 0:", ".", "TestATakeoverIsAnnouncedTwoSecondsBefore"},
	{"no-veto", "nobody takes an announcement back", "records.go",
		"if !working || g.Next", "if working || g.Next", ".", "TestWhatWorksKeepsTheHotSet"},
	{"cold-elsewhere-is-nil", "promise 4: a cold partition of a server that does not count tells Delete that nothing may fire", "fence.go",
		"|| s.Counts.Server == st.Server)", "|| s.Counts.Server != \"\")", ".", "TestDeleteSaysThatTheHotSetIsElsewhere"},
	{"delete-by-old-records", "promise 4: Delete goes by what was read long before its commit", "fence.go",
		"if s := f.records.of(p); !s.relied {", "if s := f.records.of(p); !s.known {", ".", "TestDeleteReadsTheRecordsAfterItsCommit"},
	{"claims-by-old-records", "a worker claims by what it read long ago", "fence.go",
		"	if s.relied || s.known && (s.away", "	if s.known || s.known && (s.away", ".", "TestNothingIsClaimedUnderOldRecords"},
	{"longer-lease-at-once", "a longer Lease is used before those who delete know of it", "lease.go",
		"				sleep(ctx, hold)\n", "", ".", "TestALongerLeaseIsRecordedTwoSecondsBefore"},
}
