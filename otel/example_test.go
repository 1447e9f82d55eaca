package oteltriggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/hotset/local"
	oteltriggerhook "github.com/triggerhook/triggerhook/otel"
)

// A task that is created and handled, and the spans of that. A service exports them; here they are kept in memory.
func Example() {
	spans := tracetest.NewInMemoryExporter()
	tracers := trace.NewTracerProvider(trace.WithSyncer(spans))
	telemetry, err := oteltriggerhook.New("triggerhook", oteltriggerhook.Options{TracerProvider: tracers, Propagator: propagation.TraceContext{}})
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	store, err := bolt.Open(filepath.Join(dir, "tasks.bolt"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	set, err := local.New(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s, err := triggerhook.New(store, set, triggerhook.Options{
		Middleware: []triggerhook.Middleware{telemetry.Middleware()},
		Hooks:      telemetry.Hooks(hook.Hooks{Confirmed: func(hook.Confirmed) { stop() }}),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	if err := telemetry.Create(ctx, s, &triggerhook.Task{ID: "tea", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	err = s.Handle(ctx, 1, func(context.Context, *triggerhook.Delivery) error { return nil })
	for _, span := range spans.GetSpans() {
		fmt.Printf("%s (%s), links: %d\n", span.Name, span.SpanKind, len(span.Links))
	}
	if err := errors.Join(err, tracers.Shutdown(context.Background()), store.Close(), os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
	// Output:
	// create triggerhook (producer), links: 0
	// process triggerhook (consumer), links: 1
	// settle triggerhook (client), links: 1
}
