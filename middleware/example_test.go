package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/middleware"
)

// All three, in their usual order: the log line sees the error that Recover has made of a panic.
func Example() {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := bolt.Open(filepath.Join(dir, "tasks.bolt"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	set, err := local.New(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{Middleware: []triggerhook.Middleware{
		middleware.Log(slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTimes}))),
		middleware.Timeout(30 * time.Second),
		middleware.Recover(),
	}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	if err := s.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	if err := s.Create(ctx, &triggerhook.Task{ID: "remind-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	err = s.Handle(ctx, 1, func(context.Context, *triggerhook.Delivery) error {
		defer stop()
		panic("no template")
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=WARN msg="task failed" id=remind-17 attempt=1 error="handler panicked: no template"
}

// withoutTimes leaves out what differs from run to run.
func withoutTimes(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey, "late", "took", "stack":
		return slog.Attr{}
	}
	return a
}

// deliver stands for Handle, which calls a handler in its middleware.
func deliver(h triggerhook.Handler) error {
	return h(context.Background(), &triggerhook.Delivery{Task: triggerhook.Task{ID: "remind-17", Due: time.Now()}, Attempt: 1})
}

// One line for each delivery, as JSON.
func ExampleLog() {
	logger := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTimes}))
	h := middleware.Log(logger)(func(context.Context, *triggerhook.Delivery) error { return nil })
	fmt.Println(deliver(h))
	// Output:
	// {"level":"INFO","msg":"task handled","id":"remind-17","attempt":1}
	// <nil>
}

// A handler that passes its context on is cut off when its time is over.
func ExampleTimeout() {
	h := middleware.Timeout(10 * time.Millisecond)(func(ctx context.Context, d *triggerhook.Delivery) error {
		<-ctx.Done() // a call that takes too long
		return ctx.Err()
	})
	err := deliver(h)
	fmt.Println(errors.Is(err, middleware.ErrTimeout), err)
	// Output: true the handler's time limit is over (10ms): context deadline exceeded
}

// A panic is an error for the middleware around.
func ExampleRecover() {
	var prices []int
	h := middleware.Recover()(func(_ context.Context, d *triggerhook.Delivery) error {
		fmt.Println(prices[d.Attempt])
		return nil
	})
	fmt.Println(deliver(h))
	// Output: handler panicked: runtime error: index out of range [1] with length 0
}

// The value and the stack of a panic, for a crash reporter.
func ExamplePanicError() {
	report := func(next triggerhook.Handler) triggerhook.Handler {
		return func(ctx context.Context, d *triggerhook.Delivery) error {
			err := next(ctx, d)
			var p *middleware.PanicError
			if errors.As(err, &p) {
				fmt.Println("to the crash reporter:", p.Value, len(p.Stack) > 0)
			}
			return err
		}
	}
	fmt.Println(deliver(report(middleware.Recover()(func(context.Context, *triggerhook.Delivery) error { panic("no template") }))))
	// Output:
	// to the crash reporter: no template true
	// handler panicked: no template
}

// What Handle looks for: an error of your own that has a stack is logged with it, at Warn.
func ExamplePanicError_PanicStack() {
	err := middleware.Recover()(func(context.Context, *triggerhook.Delivery) error { panic("no template") })(context.Background(), nil)
	var stacked interface{ PanicStack() []byte }
	fmt.Println(errors.As(err, &stacked) && len(stacked.PanicStack()) > 0)
	// Output: true
}
