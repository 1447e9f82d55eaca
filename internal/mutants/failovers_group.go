package main

// failoversGroup are of a durable store that is a group of servers.
var failoversGroup = []mutant{
	{"reads-old", "FreshRead: reads do not wait for what the group has ordered", "durable/conn.go",
		"m.retryIn(ctx, fresh, act, again, f)", "m.retryIn(ctx, certified, act, again, f)", "./durable", "TestReadsAreFreshAndWritesCertified"},
	{"bounded-reads-old", "FreshRead: the same of calls that share no statement", "durable/conn.go",
		"m.boundedIn(ctx, fresh, act, f)", "m.boundedIn(ctx, certified, act, f)", "./durable", "TestReadsAreFreshAndWritesCertified"},
	{"absence-of-one-old", "FreshRead: a row that a DELETE did not meet is gone", "durable/delete.go",
		"if old, err := d.m.refresh(ctx, conn); err != nil || len(d.refs) == 1 && !old {", "if len(d.refs) == 1 {",
		"./durable", "TestWhatAWriteDoesNotMeetIsLookedForAgain"},
	{"absence-of-many-old", "FreshRead: rows that a DELETE of many did not meet are gone", "durable/delete.go",
		"	if _, err := d.m.refresh(ctx, conn); err != nil {\n		return nil, err\n	}\n", "", "./durable", "TestWhatAWriteDoesNotMeetIsLookedForAgain"},
	{"absence-of-moved-old", "FreshRead: a row that an UPDATE did not meet is gone", "durable/mysql.go",
		"if err == nil && old {", "if err == nil && old && false {", "./durable", "TestWhatAWriteDoesNotMeetIsLookedForAgain"},
	{"duplicate-old", "FreshRead: the row that an INSERT met is read as it was", "durable/create.go",
		"	if _, err := m.refresh(ctx, conn); err != nil {\n		return err\n	}\n", "", "./durable", "TestReadsAreFreshAndWritesCertified"},
	{"drop-unread-old", "FreshRead: rows of a lost commit are looked for in what a member has", "durable/drop.go",
		"if _, err = m.refresh(ctx, conn); err == nil {", "{", "./durable", "TestALostDropAsksInFresh"},
	{"low-bound-old", "FreshRead: a writer holds the low bound as it was", "durable/lowbound.go",
		"	if _, err := m.refresh(ctx, conn); err != nil {\n		return err\n	}\n", "", "./durable", "TestReadsAreFreshAndWritesCertified"},
	{"waits-for-hours", "a read that waits for its member keeps its thread for hours", "durable/fresh.go",
		"int(statementTimeout.Seconds())", "28800", "./durable", "TestReadsAreFreshAndWritesCertified"},
	{"weakens-writes", "a group's own consistency is lowered", "durable/fresh.go",
		"consistency, is, has[", "consistency, \"EVENTUAL\", has[", "./durable", "TestAGroupsConsistencyIsKept"},
	{"weakens-reads", "a group's reads wait for less than it is configured with", "durable/fresh.go",
		"level = \"BEFORE_AND_AFTER\"", "level = before", "./durable", "TestAGroupsConsistencyIsKept"},
}
