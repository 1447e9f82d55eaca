package main

// breadth are of the packages around the root: middleware, typed, seal.
var breadth = []mutant{
	{"log-panic-as-done", "a panic is logged as handled", "middleware/middleware.go",
		"level, message := slog.LevelError, \"handler did not return\"", "level, message := slog.LevelInfo, \"task handled\"", "./middleware", "TestLogSaysHowAHandlerEnded"},
	{"timeout-takes-foreign-ends", "each error after the end of the context is the time limit's", "middleware/middleware.go",
		"if err != nil && errors.Is(context.Cause(ctx), ErrTimeout) &&", "if err != nil && ctx.Err() != nil &&", "./middleware", "TestTimeoutLeavesTheCauseOfTheDelivery"},
	{"timeout-fails-what-succeeded", "a handler that succeeds late has failed", "middleware/middleware.go",
		"if err != nil && errors.Is(context.Cause(ctx), ErrTimeout) &&", "if errors.Is(context.Cause(ctx), ErrTimeout) &&", "./middleware", "TestTimeoutEndsTheContextAndNamesItself"},
	{"handlers-panic-as-error", "a panic counts as an error that was returned", "metrics/handlers.go",
		"time.Now(), \"panic\"", "time.Now(), \"error\"", "./metrics", "TestHandlersAreMeasuredByTheirOutcome"},
	{"typed-decodes-nothing", "a payload that cannot be decoded reaches its handler", "typed/typed.go",
		"return v, fmt.Errorf(\"%w: %w\", ErrDecode, err)", "return v, nil", "./typed", "TestWhatCannotBeDecodedFailsAndStays"},
	{"typed-shows-values", "an error shows a value of the payload", "typed/typed.go",
		"return v, withoutValue(err)", "return v, err", "./typed", "TestAnErrorOfJSONShowsNoValue"},
	{"seal-unbound", "a sealed payload opens in any task", "seal/seal.go",
		"len(key), key, task)", "len(key), key, \"\")", "./seal", "TestWhatWasChangedDoesNotOpen"},
	{"seal-names-run-together", "the key's id and the task's run together", "seal/seal.go",
		"len(key), key, task)", "0, key, task)", "./seal", "TestIDsThatRunTogetherAreTwo"},
	{"seal-any-key-seals", "a ring seals with some key", "seal/seal.go",
		"t.Headers[KeyHeader] = id\n", "t.Headers[KeyHeader] = \"k1\"\n", "./seal", "TestKeysRotate"},
}
