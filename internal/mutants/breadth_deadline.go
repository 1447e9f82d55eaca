package main

// breadthDeadline are of the deadline of a delivery's context.
var breadthDeadline = []mutant{
	{"deadline-is-none", "a delivery's context says that it has no deadline", "consumer/context.go",
		"return c.deadline, true }", "return c.deadline, false }", "./consumer", "TestADeliverysContextEndsAtItsDeadline"},
	{"deadline-of-the-claim", "the deadline is reckoned without DeliveryTimeout", "consumer/consumer.go",
		"d.ctx.begin(now.Add(c.o.DeliveryTimeout))", "d.ctx.begin(now.Add(c.o.Lease))", "./consumer", "TestADeliverysContextEndsAtItsDeadline"},
	{"deadline-unseen-before", "a context that nothing had looked at does not end at its deadline", "consumer/context.go",
		"!c.deadline.IsZero() && !time.Now().Before(c.deadline)", "!c.deadline.IsZero() && c.made != nil && !time.Now().Before(c.deadline)", "./consumer", "TestADeliverysContextEndsAtItsDeadline"},
	{"deadline-over-lost-lease", "the deadline hides that the lease was lost before", "consumer/context.go",
		"if ended && !errors.Is(c.cause, task.ErrTimeout) {", "if ended && errors.Is(c.cause, task.ErrTimeout) {", "./consumer", "TestTheFirstEndOfADeliverysContextStands"},
	{"deadline-cuts-confirm", "the deadline of its context ends the wait of a Confirm", "consumer/delivery.go",
		"if !d.ctx.endedWith(ctx) {", "if !d.ctx.endedWith(ctx) || ctx.Err() == context.DeadlineExceeded {", "./consumer", "TestTheDeadlineCutsNoConfirmShort"},
	{"deadline-is-patience", "the deadline of its context is taken for the caller's own", "consumer/delivery.go",
		"is && deadline.Before(d.ctx.deadline) {", "is && !deadline.After(d.ctx.deadline) {", "./consumer", "TestTheDeadlineCutsNoConfirmShort"},
}
