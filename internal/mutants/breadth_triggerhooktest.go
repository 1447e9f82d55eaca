package main

// manualClock break the Scheduler whose time a test moves.
var manualClock = []mutant{
	{"clock-delay-late", "a delay ends a millisecond late by a clock that is moved by hand", "hotset/local/local.go",
		"	round := time.Millisecond - 1\n", "	round := time.Millisecond\n", "./triggerhooktest", "TestDelaysCountInTheTestsTime"},
	{"clock-postponed-late", "a delay beyond the horizon counts by this process's clock", "consumer/step.go",
		"sent: now(), mid: now(), clock: now}", "sent: sent, mid: sent}", "./triggerhooktest", "TestDelaysCountInTheTestsTime"},
	{"clock-not-stopped", "Advance moves the clock to its end before it delivers", "triggerhooktest/triggerhooktest.go",
		"			s.clock.moveTo(at)\n", "			s.clock.moveTo(end)\n", "./triggerhooktest", "TestAdvanceDeliversInOrderAndNotEarly"},
	{"clock-rows-unseen", "rows beyond the horizon are not looked for", "manual.go",
		"		if len(rows) > 0 {\n			first", "		if len(rows) > 1 {\n			first", "./triggerhooktest", "TestAdvanceDeliversInOrderAndNotEarly"},
	{"clock-no-wait", "a bubble's other goroutines are not waited for", "triggerhooktest/bubble.go",
		"		<-timer.C\n	}\n	synctest.Wait()\n", "		<-timer.C\n	}\n", "./triggerhooktest", "TestABubblesTimersGoFirst"},
	{"clock-settles-later", "Step does not wait until the settlement is in the stores", "consumer/step.go",
		"		<-c.settler.allComplete()\n", "		c.settler.allComplete()\n", "./triggerhooktest", "TestDelaysCountInTheTestsTime"},
	{"clock-no-require", "RequireNotCreated passes what exists", "triggerhooktest/require.go",
		"		if err == nil {\n			t.Fatalf(", "		if err == nil && i.ID == \"\" {\n			t.Fatalf(", "./triggerhooktest", "TestFailuresNameWhatIsThere"},
}
