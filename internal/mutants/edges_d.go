package main

// edgesD are of errors that may pass, and of the session and the migration.
var edgesD = []mutant{
	{"run-ends-unchecked", "Run answers nil though it never got through its check", "scheduler.go",
		"if ctx.Err() != nil { // which err may be about", "if ctx.Err() != nil {\n			return nil\n		}\n		if ctx.Err() != nil { // which err may be about", ".", "TestRunThatNeverGotThroughItsCheckSaysWhy"},
	{"unknown-is-final", "a confirm gives up on an error that is in no list", "consumer/settler.go",
		"	return errors.Is(err, task.ErrClosed) ||", "	return !errors.Is(err, task.ErrUnavailable) || errors.Is(err, task.ErrClosed) ||", "./consumer", "TestConfirmWaitsForWhateverMayPass/unknown"},
	{"refused-is-final", "a confirm gives up on a right that is revoked for a minute", "consumer/settler.go",
		"	return errors.Is(err, task.ErrClosed) ||", "	return errors.Is(err, task.ErrRefused) || errors.Is(err, task.ErrClosed) ||", "./consumer", "TestConfirmWaitsForWhateverMayPass/refused"},
	{"closed-is-waited-for", "a confirm waits for a store that is closed", "consumer/settler.go",
		"	return errors.Is(err, task.ErrClosed) || errors", "	return errors", "./consumer", "TestConfirmGivesUpOnWhatIsFinal/closed"},
	{"confirm-hammers", "a confirm's tries do not go apart", "consumer/settler.go",
		"		pause(s.patient, wait)\n	}\n}\n\n// count", "		pause(s.patient, retryPause)\n	}\n}\n\n// count", "./consumer", "TestConfirmWaitsForWhateverMayPass/unknown"},
	{"tls-is-waited-for", "a server that takes no connection without TLS is waited for", "durable/faults.go",
		"	3159: {task.ErrRefused, stop},", "	3159: {task.ErrUnavailable, stop},", "./durable", "TestTLSThatIsRequiredIsToldAtTheStart/mysql97"},
	{"sick-node-kept", "a connection to a node that does not work stays in the pool", "durable/faults.go",
		"	1047: {task.ErrUnavailable, leave},", "	1047: {task.ErrUnavailable, stop},", "./durable", "TestFaultsOfServersHaveKinds"},
	{"full-disk-unnamed", "a full disk is any other error of a server", "durable/errors.go",
		"f.kind == task.ErrUnavailable && full(err)", "false", "./durable", "TestFaultsOfServersHaveKinds"},
	{"held-table-parts-groups", "behind a locked table each call of a group waits alone", "durable/conn.go",
		"			return &heldError{err}\n", "			return err\n", "./durable", "TestALockedTableEndsItsCallersTogether/mysql97"},
}
