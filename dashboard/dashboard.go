// Package dashboard shows the tasks of a namespace in a browser, live, and changes them if it is told to.
//
// [New] returns an http.Handler, to be mounted under any path that ends with a slash:
//
//	pages, err := dashboard.New(s, dashboard.Options{})
//	...
//	mux.Handle("/tasks-admin/", login(pages))
//
// All files that the pages need are in the program, and a page asks no other host for anything. Every page works without JavaScript,
// which only makes the figures live. The pages are read-only unless Options.Operate is set.
//
// The dashboard has no login of its own. Each client that reaches the handler sees the IDs, headers and errors of all tasks of the
// namespace, so mount it behind what authenticates the other internal pages of your program.
package dashboard

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/triggerhook/triggerhook"
)

// Options are options of New. The zero value shows a namespace, changes nothing, and hides payloads.
type Options struct {
	// Title is what the pages are called: the name of the namespace.
	Title string
	// Payloads shows the payloads of tasks and dead letters. Without it a page says only how long a payload is.
	Payloads bool
	// Operate lets the pages delete, reschedule and requeue tasks, purge dead letters, and pause the namespace. It needs Authorize.
	Operate bool
	// Authorize is asked before each page or request of an operation. Nil allows it; the text of an error is shown to the
	// user, with status 403. A page shows the buttons only to those who may use them.
	Authorize func(*http.Request) error
	// TrustedOrigins are origins ("https://admin.example.com") whose pages may send operations, besides that of the dashboard itself. It is
	// needed where a proxy changes the Host of requests and the browser speaks plain HTTP to it.
	TrustedOrigins []string
	// Logger gets each operation at Info, and what fails at Warn: slog.Default().
	Logger *slog.Logger
}

// dashboard is the handler that New returns.
type dashboard struct {
	s      *triggerhook.Scheduler
	o      Options
	hub    *hub
	origin *http.CrossOriginProtection
	frames frames
	ends   shutdowns
}

// New returns the dashboard of the namespace of s. It starts nothing and does no I/O: figures are read while a page is open,
// once for all viewers. ErrInvalid: s is nil, Operate is set without Authorize, or an origin is none.
func New(s *triggerhook.Scheduler, o Options) (http.Handler, error) {
	d := &dashboard{s: s, o: o, origin: http.NewCrossOriginProtection()}
	var errs []error
	if s == nil {
		errs = append(errs, fmt.Errorf("%w: the Scheduler is nil", triggerhook.ErrInvalid))
	}
	if o.Operate && o.Authorize == nil {
		errs = append(errs, fmt.Errorf("%w: Options.Operate is set and Options.Authorize is nil: say who may change tasks", triggerhook.ErrInvalid))
	}
	for _, origin := range o.TrustedOrigins {
		if err := d.origin.AddTrustedOrigin(origin); err != nil {
			errs = append(errs, fmt.Errorf("%w: Options.TrustedOrigins %q: %w", triggerhook.ErrInvalid, origin, err))
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("new dashboard: %w", errors.Join(errs...))
	}
	d.o.Title = cmp.Or(o.Title, s.Namespace())
	d.o.Logger = cmp.Or(o.Logger, slog.Default())
	d.hub = newHub(s)
	return d, nil
}
