package main

// userCode are mutants of what stands between the library and the code of its callers.
var userCode = []mutant{
	// Answers.
	{"confirm-ends-its-own-wait", "the context that a handler waits with ends before the answer comes", "consumer/delivery.go",
		"	d.c.settler.confirm(answer{d, done})\n", "	d.c.settler.confirm(answer{d, done})\n	d.end(task.ErrSettled)\n", "./consumer",
		"TestACallersOwnDeadlineEndsItsWait"},
	{"ended-context-hides-the-outcome", "who waits with a context that ended with the delivery's learns nothing", "consumer/delivery.go",
		"		if !d.endedWith(ctx) {", "		if true {", "./consumer", "TestAnEndedContextHidesNoOutcome"},
	{"dead-context-without-deadline", "a deadline of a context that has ended with the delivery's is not kept", "consumer/delivery.go",
		"if deadline, is := ctx.Deadline(); is {", "if deadline, is := ctx.Deadline(); is && false {", "./consumer", "TestACallersOwnDeadlineEndsItsWait"},
	{"timeout-settles", "a success after DeliveryTimeout does not count", "consumer/delivery.go",
		"	if before == settled {", "	if before != open {", "./consumer", "TestAConfirmAfterTheTimeoutEndsTheTask"},
	{"timeout-is-an-answer", "a caller that hangs holds nothing in hand", "consumer/settler.go",
		"		s.c.forget(d)\n		s.c.returning--\n", "		s.c.forget(d)\n		s.c.answered(d)\n		s.c.returning--\n", "./consumer",
		"TestARollbackAfterTheTimeoutChangesNothing"},
	{"late-rollback-counts", "a rollback after the timeout counts once more", "consumer/settler.go",
		"		case !late: // else", "		default: // else", "./consumer", "TestARollbackAfterTheTimeoutChangesNothing"},
	{"timeout-makes-demand", "what a timeout gives back is claimed by this process at once, though its callers hang", "consumer/settler.go",
		"	s.c.answering++\n	s.c.returning++\n", "	s.c.answering++\n	s.c.answers.add(1)\n	s.c.returning++\n", "./consumer",
		"TestAConfirmAfterTheTimeoutEndsTheTask"},
}
