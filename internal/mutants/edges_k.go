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
}
