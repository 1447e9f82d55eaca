package main

// breadthMoveMany are of the statements by which RescheduleWhere moves many rows.
var breadthMoveMany = []mutant{
	{"movemany-unfenced", "many rows are moved in whatever version they are", "durable/sql/move_many_tasks.sql",
		"WHERE id IN ({ids}) AND ver IN ({vers})", "WHERE id IN ({ids}) AND (ver IN ({vers}) OR ver > 0)", "./durable", "TestStore/mysql97/MoveManyMovesEachRowOnItsOwn"},
	{"movemany-all-moved", "rows that changed meanwhile count as moved", "durable/movemany.go",
		"if is, ok := found[mv.ID]; ok && is.Ver == mv.To {", "if is, ok := found[mv.ID]; ok && is.Ver != 0 {", "./durable", "TestStore/mysql97/OneOfManyMoversWins"},
	{"movemany-forgets-its-commit", "a try whose answer was lost is made once more", "durable/movemany.go",
		"	if u.state == moveUncertain {\n", "	if u.state == moveUncertain && u.done == nil {\n", "./durable", "TestARepeatedMoveOfManyKnowsWhatWasDone/mysql97"},
	{"movemany-is-sure", "a failed move of many does not say what it may have moved", "durable/movemany.go",
		"u.state != moveNotMade && u.done[mv.ID]", "u.state == moveCommitted && u.done[mv.ID]", "./durable", "TestAFailedMoveOfManyNamesWhatItMayHaveMoved/mysql97"},
	{"movemany-forgets-previous", "many rows are moved that name no version before", "durable/sql/move_many_tasks.sql",
		"prev_ver = ver, ", "", "./durable", "TestStore/mysql97/MoveManyOfManyRows"},
	{"bolt-movemany-unfenced", "the same of a file", "durable/bolt/move.go",
		"if !ok || r.Ver != ref.Ver {", "if !ok || r.Ver == to.Ver {", "./durable/bolt", "TestStore/bolt/MoveManyMovesEachRowOnItsOwn"},
	{"where-old-stays", "RescheduleWhere leaves the old members in the hot set", "where.go",
		"was, changed[moves[i].To] = append(was, row.Ref), true", "was, changed[moves[i].To] = was[:0], true", ".", "TestRescheduleWhereTellsTheHotSet"},
	{"where-previous-stays", "RescheduleWhere moves rows on whose previous versions may be members", "where.go",
		"	if len(prev) > 0 {\n", "	if len(prev) < 0 {\n", ".", "TestRescheduleWhereRemovesWhatADeadMoverLeft"},
	{"where-adds-what-stayed", "RescheduleWhere adds versions that no row has", "where.go",
		"			if vers[r.Ver] {\n", "			if vers != nil {\n", ".", "TestRescheduleWhereTellsTheHotSet"},
	{"where-uncertain-forgotten", "the hot set keeps what a failed RescheduleWhere may have moved", "where.go",
		"		s.removals.EnqueueUncertain(refs)\n", "", ".", "TestRescheduleWhereWithoutAnAnswerIsMadeGood"},
}
