package main

// breadthNewcomer are of what a newcomer found who wrote programs from the pages alone.
var breadthNewcomer = []mutant{
	{"gone-is-failure", "a handler whose task was gone counts as failed", "consumer/handlers.go",
		"		gone := d.isGone(err)\n", "		gone := false\n", "./consumer", "TestWhatAHandlerAnswersIsTold"},
	{"gone-by-context-fails", "a handler whose context ended because its task was gone counts as failed", "internal/verdict/verdict.go",
		" || errors.Is(context.Cause(ctx), task.ErrGone))\n", ")\n", "./consumer", "TestWhatAHandlerAnswersIsTold"},
	{"fail-untold", "the hook Failed is not told of Delivery.Fail", "consumer/failure.go",
		"			d.c.tellFailed(d, cause)\n", "", "./consumer", "TestWhatAHandlerAnswersIsTold"},
	{"recovered-without-stack", "a panic that a middleware recovered is logged like any error", "consumer/handlers.go",
		"errors.As(err, &recovered)", "false", "./consumer", "TestWhatAHandlerAnswersIsTold"},
	{"requeue-by-local-clock", "RequeueDead takes what died by another clock for not dead yet", "dead.go",
		"	return s.presentTime(ctx).UnixMilli() + deadSlackMS\n", "	return time.Now().UnixMilli()\n", "./triggerhooktest", "TestDeadLettersAreRequeuedByTheClockOfTheTest"},
	{"replace-same-changes", "a Replace by the same takes the task from its worker", "durable/sql/upsert_replace.sql",
		" AND NOT (headers <=> VALUES(headers) AND payload <=> VALUES(payload))", "", "./durable", "TestStore/mysql97/ReplaceByTheSameKeeps"},
	{"replace-same-unswept", "a Replace that met an unknown previous version counts as kept", "durable/upsert.go",
		"(is.PrevVer == 0 || is.PrevVer == r.PrevVer)", "true", "./durable", "TestStore/mysql97/UpsertAsksForThePreviousVersion"},
	{"bolt-replace-same-changes", "the same, in a bolt file", "durable/bolt/upsert.go",
		"on == task.Replace && is.Headers == r.Headers && bytes", "on == 0 && bytes", "./durable/bolt", "TestStore/bolt/ReplaceByTheSameKeeps"},
	{"where-refused-uncounted", "a dry run of RescheduleWhere does not tell what it would refuse", "where.go",
		"				w.Refused++\n", "				w.Refused += 0\n", ".", "TestRescheduleWhereLeavesWhatMayNotMove"},
	{"where-refused-untold", "RescheduleWhere answers nil though it left tasks", "where.go",
		"if err == nil && w.refused != nil {", "if false {", ".", "TestRescheduleWhereLeavesWhatMayNotMove"},
	{"purge-forgets-the-last", "PurgeDead leaves the last page of a filter", "dead.go",
		"	return n, flush()\n", "	return n, nil\n", ".", "TestOldDeadLettersArePurged"},
	{"purge-all-unasked", "a zero filter deletes all dead letters", "dead.go",
		"	if f == (DeadFilter{}) {\n		err = ", "	if f == (DeadFilter{}) {\n		_ = ", ".", "TestOldDeadLettersArePurged"},
}
