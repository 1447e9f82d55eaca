package main

// breadthTorture are of what torture judges of transactions, upserts and dead letters, and of the checker's rules for that.
var breadthTorture = []mutant{
	{"blind-forgets-late", "a claim that was held back may not have taken a task", "internal/history/dead.go",
		"		from -= heldBack\n", "		from -= 0\n", "./internal/history", "TestWhatTransactionsUpsertsAndDeadLettersMayDoPasses"},
	{"confirmtx-any-version", "VersionFenced: a transaction deletes whatever version the row has", "durable/confirmtx.go",
		"	n, err := affected(", "	if refs, err := m.Versions(ctx, []string{ref.ID}); err == nil && len(refs) > 0 {\n		ref = refs[0]\n	}\n	n, err := affected(",
		"./durable", "TestConfirmTxDeletesOneVersionIfItCommits/mysql97"},
	{"history-commit-for-sure", "the checker takes each COMMIT without an answer for one that succeeded", "internal/history/tx.go",
		"	if !h.committed[a.tx] {", "	if h.committed[a.tx] && false {", "./internal/history", "TestWhatTransactionsUpsertsAndDeadLettersMayDoPasses"},
	{"history-commit-never", "the checker asks no ledger", "internal/history/tx.go",
		"a.tx == \"\" || !h.ledger || a.result != Unknown", "a.tx == \"\" || h.ledger || a.result != Unknown", "./internal/history",
		"TestTheRulesOfTransactionsUpsertsAndDeadLettersFindTheirBadHistories"},
	{"history-snooze-counts", "the checker counts a snooze as an attempt", "internal/history/dead.go",
		"	if a.kind == Snoozed {", "	if a.kind != Snoozed && false {", "./internal/history", "TestWhatTransactionsUpsertsAndDeadLettersMayDoPasses"},
	{"history-letters-unread", "the checker reads no dead letters", "internal/history/read.go",
		"		s.letters = append(s.letters, e)\n", "		s.letters = s.letters[:0]\n", "./internal/history", "TestTheRulesOfTransactionsUpsertsAndDeadLettersFindTheirBadHistories"},
	{"history-twice-is-once", "the checker lets two transactions confirm one version", "internal/history/tx.go",
		"	if n > made {", "	if n > made+1 {", "./internal/history", "TestTheRulesOfTransactionsUpsertsAndDeadLettersFindTheirBadHistories"},
	{"history-old-payload", "the checker lets a payload come that had been replaced", "internal/history/upsert.go",
		"		if d.claim.began > m.end {", "		if d.claim.began < m.end && false {", "./internal/history", "TestTheRulesOfTransactionsUpsertsAndDeadLettersFindTheirBadHistories"},
	{"history-expires-late", "the checker lets a task come any time after it has expired", "internal/history/dead.go",
		"if over > c.Handed.Microseconds() &&", "if over > 1000*c.Handed.Microseconds() &&", "./internal/history", "TestTheRulesOfTransactionsUpsertsAndDeadLettersFindTheirBadHistories"},
	{"history-most-drained", "the checker judges no run as a whole", "internal/history/check.go",
		"	c.judgeDrains()\n", "", "./internal/history", "TestTheRulesOfTransactionsUpsertsAndDeadLettersFindTheirBadHistories"},
}
