package main

// edgesF are of large calls, and of the reads that start at a known bound.
var edgesF = []mutant{
	{"large-deletion-has-one-time", "the time of one statement bounds a whole deletion", "durable/packet.go",
		"		m.next(ctx)\n		err := send(part)\n", "		err := send(part)\n", "./durable", "TestEachStatementHasATimeOfItsOwn"},
	{"large-create-has-one-time", "the time of one statement bounds a whole transaction", "durable/create.go",
		"	for _, part := range parts {\n		m.next(ctx)\n", "	for _, part := range parts {\n", "./durable", "TestEachStatementHasATimeOfItsOwn"},
	{"large-call-shares", "a call of many statements is one of a group", "durable/mysql.go",
		"	if share <= maxRows {\n", "	if true {\n", "./durable", "TestLargeCallsAreAloneInTheirFault"},
	{"large-drop-reads-all-first", "a deletion of many that fails has deleted nothing", "durable/drop.go",
		"range split(d.ids, m.idShare) {", "range [][]string{d.ids} {", "./durable", "TestADropOfManyReadsNoFurtherThanItDeletes"},
	{"large-delete-is-one-part", "a deletion of many is one step", "delete.go",
		"part := ids[done:min(done+pageRows, len(ids))]", "part := ids[done:]", ".", "TestADeleteOfManyGoesOnWhereItFailed"},
	{"large-delete-waits-again", "each part of a deletion waits for a hot set that does not answer", "delete.go",
		"	if d.untold[p] != nil {\n", "	if false {\n", ".", "TestADeleteOfManyWaitsOnceForTheHotSet"},
	{"large-call-unbounded", "a call of any size is taken", "create.go",
		"	if len(tasks) > mostTasks || bytes > mostBytes {\n", "	if false {\n", ".", "TestTooLargeCallsAreRefused"},
}
