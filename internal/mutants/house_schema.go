package main

// houseSchema are of what cannot change after the first release: the schema and its compatibility, headers, middleware, metrics.
var houseSchema = []mutant{
	// Middleware.
	{"middleware-inside-out", "the first middleware is the innermost", "middleware.go",
		"range slices.Backward(all)", "range slices.All(all)", ".", "TestTheFirstMiddlewareIsTheOutermost"},
	{"middleware-of-the-caller", "a change of the caller's slice changes the middleware", "options.go",
		"	o.Middleware = slices.Clone(o.Middleware)\n", "	o.Middleware = slices.Clip(o.Middleware)\n", ".", "TestTheFirstMiddlewareIsTheOutermost"},
	{"middleware-nil", "a nil middleware is taken", "options.go",
		"		checkMiddleware(o.Middleware),\n", "", ".", "TestANilMiddlewareIsRefused"},
	{"middleware-makes-nothing", "a middleware that makes no handler is taken", "middleware.go",
		"h = m(h); h == nil {", "h = m(h); false {", ".", "TestANilMiddlewareIsRefused"},
}
