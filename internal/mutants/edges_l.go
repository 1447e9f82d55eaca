package main

// edgesL are of what a cluster does to a partition, and of what a hang leaves behind.
var edgesL = []mutant{
	{"moving-slot-is-strange", "a slot that moves is an error of no kind", "hotset/kinds.go",
		"\"MASTERDOWN \", \"TRYAGAIN \", ", "\"MASTERDOWN \", ", ".", "TestASlotThatMovesLosesNoTaskAndRepeatsNone"},
}
