package triggerhook

import (
	"fmt"
	"slices"
)

// Middleware wraps a Handler in another one, which may act before and after it: measure it,
// log it, put values into its context, turn its error into another one, or not call it at all. What the
// outermost Handler returns answers the delivery, as Handler describes.
//
// A Middleware is called once in each call of Scheduler.Handle, before anything runs, and not once a delivery. The
// Handler that it returns is called by many goroutines at once. If that calls its next Handler, it does so in the
// same goroutine and at most once, with the same Delivery, and with a context that is the one that it was given or
// is derived from it. A panic, or runtime.Goexit, passes through all Middleware like that of any Go
// function: deferred functions run.
type Middleware func(next Handler) Handler

// checkMiddleware refuses a nil Middleware.
func checkMiddleware(all []Middleware) error {
	if i := slices.IndexFunc(all, func(m Middleware) bool { return m == nil }); i >= 0 {
		return fmt.Errorf("%w: Options.Middleware[%d] is nil", ErrInvalid, i)
	}
	return nil
}

// wrap puts h into all middleware. The first is the outermost.
func wrap(h Handler, all []Middleware) (Handler, error) {
	for i, m := range slices.Backward(all) {
		if h = m(h); h == nil {
			return nil, fmt.Errorf("%w: Options.Middleware[%d] returned a nil Handler", ErrInvalid, i)
		}
	}
	return h, nil
}
