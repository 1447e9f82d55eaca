package main

// failovers are of what a failover, or a Delete beside a Confirm, brings about.
var failovers = []mutant{
	{"own-unmarked", "promise 4: a Confirm that meets no row removes the member as its own", "consumer/settler.go",
		"!s.remove(b.p, \"\", gone)", "false", ".", "TestAConfirmThatOvertakesADeleteIsTold"},
	{"slow-delete-is-nil", "promise 4: a Delete goes by marks that are forgotten", "delete.go",
		"if elapsed(began) > marked {", "if false {", ".", "TestADeleteThatTakesLongSaysWhatMayHaveBeenInHand"},
	{"young-by-its-end", "promise 4: a Delete asks how old the generation is when it ends", "delete.go",
		"(s.longestLease()+elapsed(began)).", "s.longestLease().", ".", "TestADeleteReckonsFromBeforeItsRow"},
	{"run-id-alone", "a master that has another one's data is known by its run_id", "hotset/lua/prelude.lua",
		"string.match(both, 'master_replid:(%w+)')", "''", "./hotset", "TestAServerThatHasAnothersDataIsCold"},
	{"silence-is-waited-for", "a subscription whose server has gone is noticed by its own rests alone", "hotset/answer.go",
		"	note(r.doubted)\n", "", "./hotset", "TestAFailedCallProvesTheSubscription"},
	{"subscribed-elsewhere", "a subscription stays where it is when another generation counts", "hotset/expect.go",
		"		note(r.moved)\n", "", "./hotset", "TestANewGenerationIsSubscribedToAnew"},
	{"old-slots", "the client of a cluster goes by an old table of slots", "hotset/answer.go",
		"		r.cluster.ReloadState(context.Background()) // in a goroutine of its own\n", "", "./hotset", "TestAFailedCallLoadsTheTableOfSlots"},
}
