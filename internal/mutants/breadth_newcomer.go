package main

// breadthNewcomer are of what a newcomer found who wrote programs from the pages alone.
var breadthNewcomer = []mutant{
	{"gone-is-failure", "a handler whose task was gone counts as failed", "consumer/handlers.go",
		"		gone := d.isGone(err)\n", "		gone := false\n", "./consumer", "TestWhatAHandlerAnswersIsTold"},
	{"gone-by-context-fails", "a handler whose context ended because its task was gone counts as failed", "consumer/handlers.go",
		" || errors.Is(context.Cause(d.Context()), task.ErrGone)\n", "\n", "./consumer", "TestWhatAHandlerAnswersIsTold"},
	{"fail-untold", "the hook Failed is not told of Delivery.Fail", "consumer/failure.go",
		"			d.c.tellFailed(d, cause)\n", "", "./consumer", "TestWhatAHandlerAnswersIsTold"},
	{"recovered-without-stack", "a panic that a middleware recovered is logged like any error", "consumer/handlers.go",
		"errors.As(err, &recovered)", "false", "./consumer", "TestWhatAHandlerAnswersIsTold"},
	{"requeue-by-local-clock", "RequeueDead takes what died by another clock for not dead yet", "dead.go",
		"	return st.AsOf.TimeUS/1000 + deadSlackMS\n", "	return time.Now().UnixMilli()\n", "./triggerhooktest", "TestDeadLettersAreRequeuedByTheClockOfTheTest"},
	{"purge-forgets-the-last", "PurgeDead leaves the last page of a filter", "dead.go",
		"	return n, flush()\n", "	return n, nil\n", ".", "TestOldDeadLettersArePurged"},
	{"purge-all-unasked", "a zero filter deletes all dead letters", "dead.go",
		"	if f == (DeadFilter{}) {\n		err = ", "	if f == (DeadFilter{}) {\n		_ = ", ".", "TestOldDeadLettersArePurged"},
}
