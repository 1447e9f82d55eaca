package oteltriggerhook_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/hotset/local"
	oteltriggerhook "github.com/triggerhook/triggerhook/otel"
	"github.com/triggerhook/triggerhook/retrypolicy"
)

// rig is a scheduler with telemetry, and what that has told.
type rig struct {
	*triggerhook.Scheduler
	telemetry *oteltriggerhook.Telemetry
	spans     *tracetest.SpanRecorder
	tracers   *trace.TracerProvider
	metrics   *metric.ManualReader
}

func newRig(t *testing.T, hooks hook.Hooks) *rig {
	t.Helper()
	r := &rig{spans: tracetest.NewSpanRecorder(), metrics: metric.NewManualReader()}
	r.tracers = trace.NewTracerProvider(trace.WithSpanProcessor(r.spans))
	var err error
	r.telemetry, err = oteltriggerhook.New("triggerhook", oteltriggerhook.Options{TracerProvider: r.tracers,
		MeterProvider: metric.NewMeterProvider(metric.WithReader(r.metrics)), Propagator: propagation.TraceContext{}})
	must(t, err)
	store, err := bolt.Open(filepath.Join(t.TempDir(), "tasks.bolt"), bolt.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	set, err := local.New(local.Options{})
	must(t, err)
	r.Scheduler, err = triggerhook.New(store, set, triggerhook.Options{Middleware: []triggerhook.Middleware{r.telemetry.Middleware()},
		Hooks: r.telemetry.Hooks(hooks), Retry: retrypolicy.Constant(time.Millisecond)})
	must(t, err)
	must(t, r.Migrate(t.Context()))
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// named are the ended spans of that name.
func (r *rig) named(name string) (some []trace.ReadOnlySpan) {
	for _, s := range r.spans.Ended() {
		if s.Name() == name {
			some = append(some, s)
		}
	}
	return some
}

// value is an attribute of a span.
func value(s trace.ReadOnlySpan, key attribute.Key) any {
	for _, a := range s.Attributes() {
		if a.Key == key {
			return a.Value.AsInterface()
		}
	}
	return nil
}

// linked reports whether from has a link to the span to.
func linked(from, to trace.ReadOnlySpan) bool {
	return slices.ContainsFunc(from.Links(), func(l trace.Link) bool { return l.SpanContext.SpanID() == to.SpanContext().SpanID() })
}

// A task is one story: its creation in the caller's trace, a span for each attempt that is linked to it, and its end.
func TestATaskIsTracedFromCreateToConfirm(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var told atomic.Int32
	r := newRig(t, hook.Hooks{Confirmed: func(e hook.Confirmed) { told.Add(int32(len(e.Tasks))); stop() }})
	caller, span := r.tracers.Tracer("test").Start(ctx, "request")
	shared := map[string]string{"tenant": "7"}
	created := &triggerhook.Task{ID: "a", Due: time.Now(), Headers: shared, Payload: []byte("four")}
	must(t, r.telemetry.Create(caller, r, created))
	span.End()
	if len(shared) != 1 || created.Headers["tenant"] != "7" || created.Headers["traceparent"] == "" {
		t.Errorf("the caller's map is %v, the task's headers are %v", shared, created.Headers)
	}
	failed := errors.New("the mail server is away")
	must(t, r.Handle(ctx, 1, func(_ context.Context, d *triggerhook.Delivery) error {
		if d.Attempt == 1 {
			return failed
		}
		return nil
	}))

	creates, processes, settles := r.named("create triggerhook"), r.named("process triggerhook"), r.named("settle triggerhook")
	if len(creates) != 1 || len(processes) != 2 || len(settles) != 1 || told.Load() != 1 {
		t.Fatalf("%d creates, %d processes, %d settles; %d confirms were told; want 1, 2, 1, 1", len(creates), len(processes), len(settles), told.Load())
	}
	if creates[0].Parent().SpanID() != span.SpanContext().SpanID() || value(creates[0], "messaging.message.id") != "a" {
		t.Errorf("the producer span is %v", creates[0])
	}
	for i, p := range processes {
		if p.Parent().IsValid() || !linked(p, creates[0]) || value(p, "triggerhook.attempt") != int64(i+1) ||
			value(p, "messaging.destination.name") != "triggerhook" || value(p, "messaging.message.body.size") != int64(4) {
			t.Errorf("consumer span %d is %v", i, p)
		}
	}
	if processes[0].Status().Code != codes.Error || processes[0].Status().Description != failed.Error() || processes[1].Status().Code != codes.Unset {
		t.Errorf("the attempts have the status %v and %v", processes[0].Status(), processes[1].Status())
	}
	if !linked(settles[0], processes[1]) || linked(settles[0], processes[0]) {
		t.Errorf("the end is linked to %v, want to the attempt that succeeded", settles[0].Links())
	}
	r.measured(t, map[string]uint64{"messaging.client.sent.messages": 1, "messaging.client.operation.duration": 1,
		"messaging.client.consumed.messages": 2, "messaging.process.duration": 2, "triggerhook.delivery.lateness": 2})
}

// measured fails unless each metric has counted that often.
func (r *rig) measured(t *testing.T, want map[string]uint64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	must(t, r.metrics.Collect(context.Background(), &all))
	got := map[string]uint64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					got[m.Name] += uint64(p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					got[m.Name] += p.Count
				}
			}
		}
	}
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s counted %d, want %d", name, got[name], n)
		}
	}
}

// A handler that panics has a span with an error, and the panic goes on to the scheduler.
func TestAPanicEndsItsSpan(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r := newRig(t, hook.Hooks{Confirmed: func(hook.Confirmed) { stop() }})
	must(t, r.Create(ctx, &triggerhook.Task{ID: "a", Due: time.Now()}))
	must(t, r.Handle(ctx, 1, func(_ context.Context, d *triggerhook.Delivery) error {
		if d.Attempt == 1 {
			panic("in the handler")
		}
		return nil
	}))
	processes := r.named("process triggerhook")
	if len(processes) != 2 || processes[0].Status().Code != codes.Error || value(processes[0], "error.type") != "not_returned" || len(processes[0].Links()) != 0 {
		t.Fatalf("the spans are %v", processes)
	}
}

// A handler that postpones its task has not failed.
func TestASnoozeIsNoError(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r := newRig(t, hook.Hooks{Confirmed: func(hook.Confirmed) { stop() }})
	must(t, r.Create(ctx, &triggerhook.Task{ID: "a", Due: time.Now()}))
	snoozed := false
	must(t, r.Handle(ctx, 1, func(context.Context, *triggerhook.Delivery) error {
		if !snoozed {
			snoozed = true
			return triggerhook.Snooze(time.Millisecond)
		}
		return nil
	}))
	processes := r.named("process triggerhook")
	if len(processes) != 2 || processes[0].Status().Code != codes.Unset || value(processes[0], "error.type") != nil {
		t.Fatalf("the spans are %v", processes)
	}
	if settles := r.named("settle triggerhook"); len(settles) != 1 || !linked(settles[0], processes[1]) || linked(settles[0], processes[0]) {
		t.Errorf("the end is linked to %v, want to the attempt that succeeded", settles)
	}
}

// A Create that fails has a span that says so, and counts no task.
func TestACreateThatFailsIsAnError(t *testing.T) {
	r := newRig(t, hook.Hooks{})
	err := r.telemetry.Create(t.Context(), r, nil, &triggerhook.Task{ID: "a"})
	if !errors.Is(err, triggerhook.ErrInvalid) {
		t.Fatalf("%v, want ErrInvalid", err)
	}
	s := r.named("create triggerhook")
	if len(s) != 1 || s[0].Status().Code != codes.Error || value(s[0], "error.type") != "invalid" || value(s[0], "messaging.batch.message_count") != int64(2) {
		t.Errorf("the span is %v", s)
	}
	r.measured(t, map[string]uint64{"messaging.client.sent.messages": 0, "messaging.client.operation.duration": 1})
}

// What is wrong in the call of New is an error.
func TestNewRefusesAnEmptyNamespace(t *testing.T) {
	if telemetry, err := oteltriggerhook.New("", oteltriggerhook.Options{}); !errors.Is(err, triggerhook.ErrInvalid) || telemetry != nil {
		t.Errorf("%v, %v", telemetry, err)
	}
}
