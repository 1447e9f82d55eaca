package main

// houseVerbs are of the verbs that span both stores: a delivery's states, the order of their steps,
// and what each verb of the hot set may answer.
var houseVerbs = []mutant{
	{"log-after-run", "the log of an asynchronous confirm is written after Run has returned", "consumer/confirm.go",
		"	outcomes := s.outcomes(refs, deleted, err)\n", "	outcomes := s.outcomes(refs, deleted, err)\n	s.complete(ds)\n	ds = nil\n", "./consumer",
		"TestRunReturnsAfterTheLastLineOfItsLog"},
	{"lost-is-ended", "what has lost its lease in a caller's hands is in no hands", "consumer/state.go",
		"		d.life = lost\n", "		d.life = ended\n", "./consumer", "TestEachStepOfADeliverysLife"},
	{"queued-is-lost", "what is given back from the queue counts as in hand", "consumer/state.go",
		"		d.life = ended\n	case inHand:", "		d.life = lost\n	case inHand:", "./consumer", "TestEachStepOfADeliverysLife"},
	{"left-twice", "a delivery leaves its batch twice", "consumer/state.go",
		"	default:\n		return\n	}\n	b := d.batch", "	}\n	b := d.batch", "./consumer", "TestEachStepOfADeliverysLife"},
	{"in-hand-leaves-hands", "what is in its batch leaves its caller's hands", "consumer/state.go",
		"	if d.life != lost {", "	if d.life != lost && d.life != inHand {", "./consumer", "TestEachStepOfADeliverysLife"},
	{"settled-times-out", "what is settled times out", "consumer/state.go",
		"CompareAndSwap(int32(unsettled), int32(timedOut))", "CompareAndSwap(int32(settled), int32(timedOut))", "./consumer", "TestADeliveryIsSettledOnce"},
	{"any-code-is-an-outcome", "a removal takes another script's code for an outcome of its own", "hotset/outcome.go",
		"		return task.RemoveClaimed, true\n", "		return task.RemoveClaimed, true\n	case codeDead:\n		return task.RemoveClaimed, true\n", "./hotset",
		"TestEachScriptTellsOnlyItsOwnOutcomes"},
	{"outcome-of-another", "a member that waits in no batch is told to be in another one", "hotset/outcome.go",
		"return task.ReleaseAbsent, true", "return task.ReleaseElsewhere, true", "./hotset", "TestEachScriptTellsOnlyItsOwnOutcomes"},
	{"code-without-name", "a script has a code that nothing explains", "hotset/lua/release.lua",
		"answers[i] = DEAD", "answers[i] = 5", "./hotset", "TestEachCodeOfAScriptIsNamed"},
}
