package main

// hookMutants break when Options.Hooks are called.
var hookMutants = []mutant{
	{"hook-panics", "a hook's panic ends the goroutine that called it", "internal/hooks/hooks.go",
		"		if p := recover(); p != nil {\n			r.Warn(", "		if p := any(nil); p != nil {\n			r.Warn(", ".", "TestAHookThatPanicsStopsNothing"},
	{"hook-claimed-late", "Claimed is called after the batch is handed out", "consumer/asking.go",
		"		l.c.tellClaimed(a.batch)\n		l.c.accept(ctx, a.batch, b.Claims)\n", "		l.c.accept(ctx, a.batch, b.Claims)\n		l.c.tellClaimed(a.batch)\n", ".",
		"TestHooksAreToldInTheOrderThatIsPromised"},
	{"hook-confirmed-gone", "Confirmed is called for a row that was gone", "consumer/events.go",
		"		if outcomes[i] == nil {\n", "		if outcomes[i] == nil || true {\n", ".", "TestNoHookIsToldOfAConfirmThatCameTooLate"},
	{"hook-created-before", "Created is called before the commit", "create.go",
		"	failpoint.Hit(\"create/commit\")\n", "	s.tellCreated(rows)\n", ".", "TestHooksAreToldOfATasksLife"},
	{"hook-lease-silent", "LeaseLost is not called when a lease runs out", "consumer/keeper.go",
		"	c.mu.Unlock()\n	c.tellLeaseLost(b, lost)\n}\n\n// endDelivery ends", "	c.mu.Unlock()\n}\n\n// endDelivery ends", "./consumer", "TestALeaseThatIsNotExtendedEndsItsDeliveries"},
	{"hook-taken-silent", "LeaseLost is not called when another worker has a task that is registered", "consumer/keeper.go",
		"	c.mu.Unlock()\n	c.tellLeaseLost(b, lost)\n}\n\n// entry is", "	c.mu.Unlock()\n}\n\n// entry is", "./consumer", "TestWhatAnotherWorkerHasIsALostLease"},
	{"hook-nil-costs", "a hook that is nil costs an allocation", "consumer/events.go",
		"func (c *Consumer) tellFailed(d *Delivery, err error) {\n", "func (c *Consumer) tellFailed(d *Delivery, err error) {\n	d.Payload = []byte(d.own.ID)\n", "./consumer", "TestHooksThatAreNilAllocateNothing"},
}
