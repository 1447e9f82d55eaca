package main

// speedHotPath are of what saves work at 1 to 1,000 tasks a second.
var speedHotPath = []mutant{
	{"stack-without-room", "a goroutine for one call makes no room on its stack", "internal/stack/stack.go",
		"const room = 9 << 10", "const room = 9", "./internal/stack", "TestADeepCallFitsIntoTheRoom"},
	{"linger-alone", "a call that comes alone lingers", "internal/coalesce/coalesce.go",
		"g.first, g.follows = now, now.Sub(g.came) < g.Linger", "g.first, g.follows = now, true", "./internal/coalesce", "TestCallsLingerForOthersThatComeSoon"},
	{"linger-for-ever", "each call that comes has the others linger on", "internal/coalesce/coalesce.go",
		"	g.came = now\n", "	g.came, g.first = now, now\n", "./internal/coalesce", "TestCallsLingerForOthersThatComeSoon"},
	{"linger-though-full", "calls that fill a flight linger", "internal/coalesce/coalesce.go",
		"g.follows && weight < g.most() &&", "g.follows &&", "./internal/coalesce", "TestCallsLingerForOthersThatComeSoon"},
	{"linger-in-a-drain", "confirms linger in a drain", "consumer/consumer.go",
		"	c.handsOut.Store(false)\n", "", "./consumer", "TestAConfirmDoesNotLingerForNothing"},
	{"linger-unasked-in-a-drain", "confirms that linger when a drain begins are not told", "consumer/consumer.go",
		"	c.settler.asyncs.Ask() // confirms do not linger any more\n", "", "./consumer", "TestAConfirmDoesNotLingerForNothing"},
	{"linger-in-flight", "confirms linger though MaxInFlight has tasks wait for them", "consumer/settler.go",
		"return s.c.o.MaxInFlight == nil && ", "return ", "./consumer", "TestAConfirmDoesNotLingerForNothing"},
	{"no-linger", "confirms do not linger", "consumer/settler.go",
		"Linger: lingerFor, ", "Linger: 1, ", "./consumer", "TestConfirmsThatNothingWaitsForShareAStatement"},
	{"linger-in-a-backlog", "confirms linger while what is due waits for the room that they make", "consumer/settler.go",
		" && !s.c.backlog.exists()", "", "./consumer", "TestConfirmsThatMakeRoomDoNotLinger"},
}
