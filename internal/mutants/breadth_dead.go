package main

// breadthDead break dead letters and Task.Expires.
var breadthDead = []mutant{
	// The stores.
	{"bury-keeps-the-row", "a buried row stays a task", "durable/bury.go",
		"		_, err = m.execDelete(ctx, tx, fit)\n", "		_ = fit\n", "./durable", "TestStore/mysql97/BuriedRowsAreDeadLetters"},
	{"bury-forgets", "a repeated burial says that the task is not dead", "durable/bury.go",
		"	if len(missing) == 0 {", "	if len(missing) >= 0 {", "./durable", "TestStore/mysql97/BuriedRowsAreDeadLetters"},
	{"dead-page-of-any-size", "a page of dead letters has any number of bytes", "durable/dead.go",
		"bytes > task.MostBytes && len(page.Dead) > 0", "false", "./durable", "TestStore/mysql97/BuriedPayloadsAreBounded"},
	{"dead-from-null", "a list from a time on begins after NULL", "durable/dead.go",
		"		id, after = []byte{}, ", "		id, after = nil, ", "./durable", "TestStore/mysql97/DeadLettersAreListedInOrder"},
	{"requeue-keeps-the-letter", "what is requeued stays a dead letter", "durable/requeue.go",
		"	if err == nil && n > 0 {", "	if err == nil && n > 1 {", "./durable", "TestStore/mysql97/RequeueMakesARow"},
	{"purge-ends-early", "a purge ends with its first commit", "durable/dead.go",
		"		if err != nil || !some {\n			return total", "		if err != nil || !some || total > 0 {\n			return total", "./durable", "TestStore/mysql97/PurgeDeletesTheOld"},
	{"expiry-not-stored", "MySQL keeps no expiry", "durable/create.go",
		"return r.ExpiresMS != 0 })", "return false })", "./durable", "TestStore/mysql97/ExpiriesComeBack"},
	{"bolt-expiry-of-another", "a row expires as one of before did", "durable/bolt/dead.go",
		" || int64(binary.BigEndian.Uint64(v[8:])) != r.CreatedMS", "", "./durable/bolt", "TestAnExpiryIsOfOneRow"},
	{"entry-without-expiry", "the hot set keeps no expiry", "hotset/keys.go",
		"	if e.ExpiresMS != 0 {\n		to.WriteString", "	if e.ExpiresMS < 0 {\n		to.WriteString", "./hotset", "TestAnEntryHasNoByteForAbsentHeaders"},

	// Expiry.
	{"preload-without-expiry", "what is preloaded does not expire", "internal/preload/rows.go",
		", ExpiresMS: r.ExpiresMS}", "}", ".", "TestWhatHasExpiredIsDeadInPlaceOfDelivered"},
	{"expiry-unread", "what the row alone knows does not expire", "consumer/accept.go",
		"	d.takeExpiry(r.ExpiresMS)\n", "", ".", "TestWhatHasExpiredIsDeadInPlaceOfDelivered"},
	{"expired-handed-out", "what expires in the queue is handed out", "consumer/consumer.go",
		"		if c.expiredNow(d) {", "		if false {", ".", "TestWhatExpiresInTheQueueIsNotHandedOut"},
	{"hook-dead-untold", "no hook is told of a dead letter", "consumer/bury.go",
		"	s.c.tellDead(group, outcomes)\n", "", ".", "TestWhatHasExpiredIsDeadInPlaceOfDelivered"},
	{"expired-without-bound", "expired tasks are claimed without a bound", "consumer/claimer.go",
		" || c.unasked >= mostUnasked {", " {", "./consumer", "TestExpiredTasksAreClaimedUpToABound"},
	{"reschedule-past-expiry", "a task is moved to after it expires", "reschedule.go",
		"r.ExpiresMS == 0 || e.dueMS <= r.ExpiresMS {", "true {", ".", "TestBadInputAboutTheDeadIsRefused"},

	// Requeue.
	{"requeue-of-the-first", "of several dead letters of an ID the first is requeued", "dead.go",
		"last.ID == \"\" || last.DeadMS < d.DeadMS", "last.ID == \"\"", ".", "TestADeadLetterIsRequeued"},
	{"requeue-for-ever", "what dies again is requeued again", "dead.go",
		"		filter.BeforeMS = now\n", "		_ = now\n", ".", "TestRequeueDeadEndsThoughTasksDieAgain"},
	{"requeue-as-a-wave", "a rate spreads nothing", "dead.go",
		"	if o.Rate == 0 {", "	if o.Rate >= 0 {", ".", "TestManyDeadLettersAreRequeuedAtARate"},
	{"requeue-before-its-point", "the row is requeued before its point", "dead.go",
		"	failpoint.Hit(\"requeue/row\")\n", "	if was, err := s.store.Requeue(ctx, d.Ref, to); err != nil || !was {\n		return was, err\n	}\n	failpoint.Hit(\"requeue/row\")\n",
		"./internal/crash", "TestARequeuerKilledBeforeItsCommitLeavesTheDeadLetter"},
	{"requeue-without-add", "the hot set is not told of what is requeued", "dead.go",
		"	s.adds.Add(parts)\n	failpoint.Hit(\"requeue/end\")\n", "	_ = parts\n	failpoint.Hit(\"requeue/end\")\n",
		"./internal/crash", "TestARequeuerKilledAfterItsAddHasRequeued"},
}
