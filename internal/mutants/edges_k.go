package main

// edgesK are of what one try is not enough for, and of calls that are cut by bytes.
var edgesK = []mutant{
	{"postponed-once", "a rollback beyond the horizon tries the store once", "consumer/postpone.go",
		"err != nil && !p.over(err); wait", "err != nil && !p.over(err) && wait < 0; wait", "./consumer", "TestAPostponementWaitsForWhateverMayPass"},
	{"postponed-for-ever", "a rollback beyond the horizon tries again what is final", "consumer/postpone.go",
		" || final(err) || p.patient", " || p.patient", "./consumer", "TestAPostponementGivesUpOnWhatIsFinal"},
	{"postponed-after-the-lease", "a row is moved though another worker may have the task", "consumer/postpone.go",
		"		if !s.c.holds(d) {\n", "		if false {\n", "./consumer", "TestAPostponementEndsWithItsLease"},
	{"postponed-though-taken", "a row is moved though another worker has claimed the task", "consumer/postpone.go",
		"answers[0] != task.Claimed {\n		err = errTaken", "answers[0] != task.Claimed {\n		err = nil", "./consumer", "TestAPostponementLeavesAnotherWorkersTask"},
	{"postponed-sweeps-itself", "a move whose answer was lost is taken for another's", "consumer/postpone.go",
		"		p.swept = true\n", "", "./consumer", "TestAPostponementWhoseAnswerWasLostIsMadeOnce"},
	{"postponed-in-silence", "nothing tells that a delay could not be kept", "consumer/postpone.go",
		"		p.giveUp(err)\n", "", "./consumer", "TestAPostponementEndsWithTheDrain|TestAPostponementEndsWithItsLease"},
	{"postponed-held-for-long", "a task whose delay could not be kept stays in its batch for as long as others", "consumer/postpone.go",
		"	if p.c.holds(p.d) {\n", "	if p.c == nil {\n", "./consumer", "TestAPostponementGivesUpOnWhatIsFinal"},

	// Records.
	{"delete-by-its-own-lease", "promise 4: Delete goes by its own Lease, not by the longest that is recorded", "lease.go",
		"	return time.Duration(k.leaseMS) * time.Millisecond\n", "	return s.o.Lease\n", ".", "TestDeleteGoesByTheLeaseThatIsRecorded"},
	{"delete-by-no-lease", "promise 4: where no Lease is recorded Delete takes it for its own", "lease.go",
		"		return maxLease\n", "		return s.o.Lease\n", ".", "TestDeleteGoesByTheLeaseThatIsRecorded"},
	{"wait-unwritten", "how long a larger window waits is not recorded", "task/window.go",
		"	if w.WaitedMS != 0 {\n", "	if w.WaitedMS < 0 {\n", "./durable/bolt", "TestStore/bolt/WindowsAreSwapped"},
	{"wait-unread", "how long a larger window waits is not read", "task/window.go",
		"w.WaitedMS = n[0], n[1], n[2]", "w.WaitedMS = n[0], n[1], 0", "./durable", "TestStore/mysql97/WindowsAreSwapped"},

	// Bytes of a call.
	{"payloads-in-one-answer", "a statement of many rows asks for payloads of any length", "durable/payload.go",
		"	return task.MostBytes / n\n", "	return math.MaxInt32\n", "./durable", "TestNoAnswerHasMoreThanSomeMiB/mysql97"},
	{"payloads-filled-in-one-answer", "what was left out comes in one answer", "durable/payload.go",
		"(held+r.Size <= task.MostBytes ||", "(held+r.Size >= 0 ||", "./durable", "TestNoAnswerHasMoreThanSomeMiB/mysql97"},
	{"payloads-never-whole", "a row that is larger than an answer never comes whole", "durable/payload.go",
		" || !whole && len(cut) == 0) {", ") {", "./durable", "TestOneOfManyLongRowsComesWhole"},
	{"cut-payload-is-empty", "a payload that a page left out is delivered empty", "create.go",
		"if r.Cut() || r.Size", "if r.Size", ".", "TestPayloadsThatAPageLeavesOutAreDelivered"},
	{"piece-without-bytes", "long payloads are asked for as if they were short", "consumer/accept.go",
		" || sum > task.MostBytes || ", " || ", "./consumer", "TestLongPayloadsAreReadPieceByPiece"},
	{"claim-brings-all", "a claim brings all long payloads into the process", "consumer/accept.go",
		"held >= mostRead && len(todo)", "held < 0 && len(todo)", "./consumer", "TestAClaimBringsNoMorePayloadsThanAProcessHolds"},
	{"failure-drops-the-rest", "payloads that could not be read are not given back", "consumer/accept.go",
		"deliveries(todo), task.Release{Delay: time.Second})", "deliveries(todo[:0]), task.Release{Delay: time.Second})", "./consumer", "TestWhatWasReadBeforeAFailureIsDelivered"},
	{"call-without-bytes", "a call to Redis is cut by the number of members alone", "hotset/redis.go",
		"i == chunk || i > 0 && sum > task.MostBytes", "i == chunk", "./hotset", "TestNoCallSendsMoreThanSomeMiB"},
	{"call-without-payloads", "a call to Redis is cut without a look at its payloads", "hotset/redis.go",
		"			sum += len(e.Payload)\n", "", "./hotset", "TestNoCallSendsMoreThanSomeMiB"},
}
