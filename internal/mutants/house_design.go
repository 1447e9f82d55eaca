package main

// houseDesign are of what docs/design.md says of the rules and counts.
var houseDesign = []mutant{
	{"feed-any-generation", "FencedScan: a page of another generation is judged by its age alone", "hotset/lua/feed.lua",
		"if tonumber(generation) ~= gen or my_epoch < epoch", "if my_epoch < epoch", "./hotset", "TestSet/redis7/p1/AnOlderFeederIsRefused"},
	{"few-in-a-transaction", "a deletion of few rows takes three round trips", "durable/delete.go",
		"const few = 50", "const few = 0", ".", "TestCallsTakeTheRoundTripsThatTheDesignNames"},
	{"clock-asks-always", "each look at the hot set's time is a round trip", "hotset/redis.go",
		"time.Since(s.at) < task.TombstoneTTL/2", "time.Since(s.at) < 0", ".", "TestCallsTakeTheRoundTripsThatTheDesignNames"},
	{"create-asks-after", "a creator sees the time only after its commit, and the design page says otherwise", "docs/design.md",
		"| Create, far | `Clock Create` | 1 | 0 |", "| Create, far | `Create Clock` | 1 | 0 |", ".", "TestStepsCallTheStoresAsTheDesignSays"},
	{"design-miscounts", "the design page miscounts the round trips of a step", "docs/design.md",
		"| Reschedule | `Get Clock Move Remove Add` | 2 | 2 |", "| Reschedule | `Get Clock Move Remove Add` | 1 | 2 |", ".", "TestStepsCallTheStoresAsTheDesignSays"},
	{"quickstart-no-database", "the quick start is refused by a server whose DSN names no database", "examples/quickstart/open.go",
		"cfg.DBName = ownDatabase", "cfg.DBName = \"\"", "./examples/quickstart", "TestADSNWithoutADatabaseGetsOne"},
}
