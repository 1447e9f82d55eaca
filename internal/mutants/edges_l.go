package main

// edgesL are of what a cluster does to a partition, and of what a hang leaves behind.
var edgesL = []mutant{
	{"moving-slot-is-strange", "a slot that moves is an error of no kind", "hotset/kinds.go",
		"\"MASTERDOWN \", \"TRYAGAIN \", ", "\"MASTERDOWN \", ", ".", "TestASlotThatMovesLosesNoTaskAndRepeatsNone"},
	{"confirmed-counts-as-lost", "a batch that its confirms have ended counts as lost", "consumer/keeper.go",
		"!c.settling(b) {", "b != nil {", "./consumer", "TestABatchThatItsConfirmsEndWasNotLost"},
	{"lost-counts-as-confirmed", "a batch that another process has taken does not count as lost", "consumer/keeper.go",
		"!c.settling(b) {", "c.settling(b) {", "./consumer", "TestABatchThatItsConfirmsEndWasNotLost"},
}
