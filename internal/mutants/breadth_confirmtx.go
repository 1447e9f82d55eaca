package main

// breadthConfirmTx are of Delivery.ConfirmTx.
var breadthConfirmTx = []mutant{
	{"confirmtx-gone-is-nil", "a transaction whose DELETE meets no row may commit", "durable/confirmtx.go",
		"	return n > 0, nil\n", "	return n >= 0, nil\n", cells, "TestAnEffectInTheTransactionOfItsConfirmHappensOnce"},
	{"confirmtx-confirms-again", "a Handler that returns nil deletes the row though its transaction was rolled back", "consumer/delivery.go",
		"		if d.tx.used() {\n			d.c.settler.endTx(d, true)\n			return\n		}\n", "", "./consumer", "TestTheRowSaysWhatBecameOfATransaction"},
	{"confirmtx-confirm-deletes", "a Confirm deletes the row though its transaction was rolled back", "consumer/delivery.go",
		"	if d.tx.used() {\n		return d.wait(ctx, d.c.settler.endTx(d, false))\n	}\n", "", "./consumer", "TestConfirmTellsWhatBecameOfATransaction"},
	{"confirmtx-offers-what-is-done", "a snooze after the commit offers the task again", "consumer/rollback.go",
		"	if d.tx.used() {\n", "	if false {\n", "./consumer", "TestTheRowSaysWhatBecameOfATransaction"},
	{"confirmtx-keeps-its-member", "the member of a task whose transaction has committed stays in the hot set", "consumer/confirmtx.go",
		"		s.removeMembers([]*Delivery{d}, []task.Ref{d.own}, deletedHere)\n", "		_ = deletedHere\n", "./consumer", "TestTheRowSaysWhatBecameOfATransaction"},
}
