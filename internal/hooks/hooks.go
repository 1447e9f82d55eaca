// Package hooks calls the functions of hook.Hooks, which are a caller's code.
package hooks

import (
	"runtime/debug"

	"github.com/triggerhook/triggerhook/internal/report"
)

// Call calls a hook, and logs a panic of it. The caller has looked that f is not nil, so that it makes no
// event for nothing.
func Call[E any](r *report.Reporter, name string, f func(E), event E) {
	defer func() {
		if p := recover(); p != nil {
			r.Warn("a hook panicked", "hook", name, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f(event)
}
