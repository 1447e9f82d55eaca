package main

// edgesL are of what a cluster does to a partition, and of what a hang leaves behind.
var edgesL = []mutant{
	{"moving-slot-is-strange", "a slot that moves is an error of no kind", "hotset/kinds.go",
		"\"MASTERDOWN \", \"TRYAGAIN \", ", "\"MASTERDOWN \", ", ".", "TestASlotThatMovesLosesNoTaskAndRepeatsNone"},
	{"confirmed-counts-as-lost", "a batch that its confirms have ended counts as lost", "consumer/keeper.go",
		"!c.allSettledIn(b) {", "b != nil {", "./consumer", "TestABatchThatItsConfirmsEndWasNotLost"},
	{"lost-counts-as-confirmed", "a batch that another process has taken does not count as lost", "consumer/keeper.go",
		"!c.allSettledIn(b) {", "c.allSettledIn(b) {", "./consumer", "TestABatchThatItsConfirmsEndWasNotLost"},
	{"claims-rest-for-long", "claims that failed rest for so long that a hang outlasts itself", "consumer/asking.go",
		"max(2*l.rest, claimRetry), mostClaimRetry)", "max(2*l.rest, claimRetry), time.Minute)", ".", "TestWhatFallsDueInAHangIsDeliveredSoonAfterIt"},
	{"a-hang-is-asked-for-seldom", "a partition that hangs is asked each minute whether it answers", "internal/breaker/breaker.go",
		"wait.For(context.Background(), probeRest-time.Since(began))", "wait.For(context.Background(), time.Minute-time.Since(began))", ".", "TestWhatFallsDueInAHangIsDeliveredSoonAfterIt"},
}
