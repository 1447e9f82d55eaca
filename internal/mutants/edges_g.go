package main

// edgesG are mutants of the checker of histories: what excuses too much finds nothing.
var edgesG = []mutant{
	{"check-restarts-excuse", "a fault that excuses no lateness excuses it", "internal/history/check.go",
		"		if !f.prompt {\n", "		if f != nil {\n", "./internal/history", "TestEachRuleFindsItsBadHistories"},
	{"check-late-in-restarts", "what is held up while workers are restarted is not looked for", "internal/history/late.go",
		"	c.prompt(s, d, ready)\n", "", "./internal/history", "TestEachRuleFindsItsBadHistories"},
	{"check-last-claim", "a delivery is taken for one of the last claim, also if that took another version", "internal/history/read.go",
		" && (c.dueMS == 0 || c.dueMS == d.dueMS && c.pay == d.pay)", "", "./internal/history", "TestWhatThePromisesAllowPasses"},
	{"check-left-behind", "what a Delete of unknown outcome has left passes, also if its process lives", "internal/history/rules.go",
		"|| !is || ended > d.at {", "|| is && ended > d.at {", "./internal/history", "TestEachRuleFindsItsBadHistories"},
	{"check-left-behind-anew", "what was made anew and deleted counts as left behind", "internal/history/rules.go",
		"return again && !since", "return again && (since || !since)", "./internal/history", "TestEachRuleFindsItsBadHistories"},
	{"check-given-up", "a Confirm that was given up passes", "internal/history/rules.go",
		"!is || ending > a.told {", "is && ending > a.told {", "./internal/history", "TestEachRuleFindsItsBadHistories"},
	{"check-deleted-in-hand", "a Delete that keeps silent about a handler passes", "internal/history/check.go",
		"		c.inHand(s, d)\n", "", "./internal/history", "TestEachRuleFindsItsBadHistories"},
	{"torture-disk-has-room", "a disk that is to be full has room inside the tables", "internal/torture/fault_disk.go",
		"errors.Join(fillDisk(ballast), st.fillTable())", "fillDisk(ballast)", "./internal/torture", "TestFaultsOfMySQLAreFelt"},
}
