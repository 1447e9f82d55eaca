package main

// houseLayout are mutants of how the Scheduler is put together.
var houseLayout = []mutant{
	{"fence-without-breaker", "calls go past the circuit breaker", "scheduler.go",
		"fence.Wrap(protected, ", "fence.Wrap(set, ", ".", "TestHungPartitionsHoldUpNoOthers"},
	{"set-without-removals", "calls go past the removals, so that none is retried", "scheduler.go",
		"	s.set = s.removals\n", "	s.set = fenced\n", ".", "TestRemovalsAreTriedAgainUntilTheySucceed/bolt"},
	{"decorator-embeds-its-set", "a decorator of the hot set embeds it", "internal/removal/removal.go",
		"	set    hotset.Set\n", "	set    hotset.Set\n	hotset.Set\n", ".", "TestNothingEmbedsWhatItUses"},
	{"audits-in-each-round", "the auditor goes by its rounds, however soon they come", "internal/agent/auditor.go",
		"left > 0 {", "left > time.Hour {", ".", "TestAProcessThatLosesItsRolesAllTheTimeAuditsAsOftenAsOthers"},
	{"burst-begins-anew", "each claim that leaves some behind begins a burst", "consumer/backlog.go",
		"	if b.state == noBacklog {\n", "	if b.state != starved {\n", "./consumer", "TestABacklogIsConfirmedAsItIsDelivered"},
	{"retries-without-pause", "what waits is retried without a pause", "internal/retry/loop.go",
		"; pause = true {", "; pause = false {", "./internal/retry", "TestTheGoroutineEndsWithItsQueue"},
	{"halt-drops-the-goroutine-alone", "what waits is not retried after a Halt", "internal/retry/loop.go",
		"	if l.stop != nil {\n		l.stop()\n		l.stop = nil\n	}\n	return l.ended\n", "	if l.stop != nil {\n		l.stop()\n	}\n	return l.ended\n", "./internal/retry", "TestHaltCutsOffARoundAndKeepsTheQueue"},
}
