package main

// failoversRedis are of how soon work goes on after a failover of Redis.
var failoversRedis = []mutant{
	{"cold-waits-for-the-feeder", "a partition that is on another server, or has lost its data, is looked at in the feeder's next round only", "internal/record/reader.go",
		"		wait.Wake(r.cold)\n", "", ".", "TestAColdPartitionIsLookedAtAtOnce"},
	{"election-is-awaited", "an election that failed is held again half a term later", "internal/agent/elector.go",
		"e.next = time.Now().Add(electRetry)", "e.next = time.Now().Add(renewEvery)", ".", "TestAnElectionThatFailedIsHeldAgainSoon"},
	{"first-veto-rests-long", "a feeder whose announcement was taken back once rests as long as one that is refused for good", "internal/agent/takeover.go",
		"restFirst<<min(f.vetoes[p], 10)", "restMost", ".", "TestWhatWasTakenBackIsAnnouncedAgainSoon"},
	{"settled-is-taken-back", "a feeder takes what it has settled for taken back at the next failover, and rests", "internal/agent/takeover.go",
		"	f.announced[p], f.vetoes[p] = 0, 0 // so noteVeto", "	// so noteVeto", ".", "TestEachFailoverIsTakenOverAsSoonAsTheFirst"},
	{"vetoes-are-not-counted", "a server that is refused holds up the claims of those that work again and again", "internal/agent/takeover.go",
		"	f.vetoes[p]++\n", "", ".", "TestAServerThatIsRefusedRestsEverLonger"},
}
