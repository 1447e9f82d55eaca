package main

// houseTranscripts are mutants that the transcripts of the protocol find: most change only which
// calls a step makes, or their order.
var houseTranscripts = []mutant{
	{"feed-from-the-beginning", "a feeder reads all rows in each round, not only those after loaded", "internal/agent/feeder.go",
		"			at = s.loaded\n", "			at = task.Cursor{}\n", ".", "TestProtocolTranscripts/feed"},
	{"move-stamped-late", "AsOfBeforeRead: Reschedule looks at the time after it has moved the row", "reschedule.go",
		"	s.adds.Add(parts)\n", "	s.adds.Add(s.adds.Stamp(ctx, parts[0].Rows))\n", ".", "TestProtocolTranscripts/reschedule"},
	{"reread-stamped-late", "AsOfBeforeRead: the auditor looks at the time after it has read the rows again", "internal/preload/rows.go",
		"	found, err := a.o.Store.Get(ctx, ids)\n", "	found, err := a.o.Store.Get(ctx, ids)\n	asOf, _ = a.o.Set.Clock(ctx, p)\n", ".", "TestProtocolTranscripts/audit"},
	{"embedded-tombstones-unread", "Tombstones: the embedded hot set takes a member that was removed", "hotset/local/partition.go",
		"		if _, is := g[r]; is {\n", "		if _, is := g[r]; is && r.Ver == 0 {\n", ".", "TestProtocolTranscripts/stale-add"},
}
