package main

// houseNames break the checks of names and words: the numbers of answers in Lua and in Go, the arguments of a script and its
// header, and the words of comments.
var houseNames = []mutant{
	{"lua-answer-renumbered", "scripts answer a member's place by another number than Go reads", "hotset/lua/prelude.lua",
		"DEAD, ORPHAN, PRESENT, ASK_AGAIN = 0, 1, 2, 3, 4, 5, 6, 7, 8", "DEAD, PRESENT, ORPHAN, ASK_AGAIN = 0, 1, 2, 3, 4, 5, 6, 7, 8",
		"./hotset", "TestThePreludeHasTheConstantsOfGo"},
	{"lua-argument-misnamed", "a script takes an argument for another", "hotset/lua/leases.lua",
		"local limit, lease_ms, skip = ARGV[2], ARGV[3], ARGV[4]", "local limit, skip, lease_ms = ARGV[2], ARGV[3], ARGV[4]",
		"./hotset", "TestEveryScriptNamesItsArgumentsAsItsHeaderDoes"},
	{"shape-words-of-one-line", "a banned phrase that is split over two lines passes", "internal/shape/words.go",
		`(but\s+for|`, `(but for|`, "./internal/shape", "TestEachRuleFailsWithPlaceNameAndRule"},
	{"shape-no-scripts", "scripts may use any word", "internal/shape/words.go",
		"for path, text := range m.scripts {", "for path, text := range map[string]string{} {", "./internal/shape", "TestEachRuleFailsWithPlaceNameAndRule"},
}
