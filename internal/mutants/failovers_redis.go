package main

// failoversRedis are of how soon work goes on after a failover of Redis.
var failoversRedis = []mutant{
	{"cold-waits-for-the-feeder", "a partition that is on another server, or has lost its data, is looked at in the feeder's next round only", "records.go",
		"		case r.cold <- struct{}{}:\n", "", ".", "TestAColdPartitionIsLookedAtAtOnce"},
	{"election-is-awaited", "an election that failed is held again half a term later", "agents.go",
		"			wait = electRetry\n", "			wait = renewEvery\n", ".", "TestAnElectionThatFailedIsHeldAgainSoon"},
}
