package main

// breadth are of the middleware that is shipped.
var breadth = []mutant{
	{"log-panic-as-done", "a panic is logged as handled", "middleware/middleware.go",
		"level, message := slog.LevelError, \"handler did not return\"", "level, message := slog.LevelInfo, \"task handled\"", "./middleware", "TestLogSaysHowAHandlerEnded"},
	{"timeout-takes-foreign-ends", "each error after the end of the context is the time limit's", "middleware/middleware.go",
		"if err != nil && errors.Is(context.Cause(ctx), ErrTimeout) &&", "if err != nil && ctx.Err() != nil &&", "./middleware", "TestTimeoutLeavesTheCauseOfTheDelivery"},
	{"timeout-fails-what-succeeded", "a handler that succeeds late has failed", "middleware/middleware.go",
		"if err != nil && errors.Is(context.Cause(ctx), ErrTimeout) &&", "if errors.Is(context.Cause(ctx), ErrTimeout) &&", "./middleware", "TestTimeoutEndsTheContextAndNamesItself"},
	{"handlers-panic-as-error", "a panic counts as an error that was returned", "metrics/handlers.go",
		"time.Now(), \"panic\"", "time.Now(), \"error\"", "./metrics", "TestHandlersAreMeasuredByTheirOutcome"},
}
