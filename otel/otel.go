// Package oteltriggerhook traces and measures a Trigger Hook scheduler with OpenTelemetry, by its middleware and hooks
// alone. Names and attributes are those of the semantic conventions for messaging, version 1.43.
//
//	telemetry, err := oteltriggerhook.New("orders", oteltriggerhook.Options{})
//	...
//	s, err := triggerhook.New(store, set, triggerhook.Options{
//		Middleware: []triggerhook.Middleware{telemetry.Middleware()}, // outermost
//		Hooks:      telemetry.Hooks(hook.Hooks{}),
//	})
//	...
//	err = telemetry.Create(ctx, s, &triggerhook.Task{ID: "cancel-17", Due: due})
//
// # Spans
//
// Create makes a producer span, "create orders", in the caller's trace. It puts the trace context into the headers of the
// tasks, which are stored with them. Middleware makes a consumer span, "process orders", for each delivery. It begins a trace of its
// own, because a task may be due days after its creation, and is linked to the span of Create. Hooks makes a span, "settle orders", for
// each deletion of confirmed tasks, linked to the consumer spans that this process has made for them.
//
// # Metrics
//
// messaging.client.sent.messages counts tasks that Create has stored, messaging.client.operation.duration is how long Create took,
// messaging.client.consumed.messages counts deliveries, and messaging.process.duration is how long handlers took. triggerhook.delivery.lateness
// is how long after its due time a task was delivered. What belongs to the library as a whole (backlog, stores, background roles) is
// in package metrics, for Prometheus.
package oteltriggerhook

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/messagingconv"
	"go.opentelemetry.io/otel/trace"

	"github.com/triggerhook/triggerhook"
)

const (
	// scope names the instrumentation.
	scope = "github.com/triggerhook/triggerhook/otel"
	// system is messaging.system.
	system = messagingconv.SystemAttr("triggerhook")
)

// Options of New. The zero value of each field is the global one of package otel.
type Options struct {
	TracerProvider trace.TracerProvider          // otel.GetTracerProvider()
	MeterProvider  metric.MeterProvider          // otel.GetMeterProvider()
	Propagator     propagation.TextMapPropagator // otel.GetTextMapPropagator(), which does nothing until a program has set one
}

// Telemetry traces and measures the schedulers of one namespace. All methods may be called by any number of goroutines at once.
type Telemetry struct {
	namespace  string
	common     []attribute.KeyValue
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	processed  spans

	sent     messagingconv.ClientSentMessages
	took     messagingconv.ClientOperationDuration
	consumed messagingconv.ClientConsumedMessages
	process  messagingconv.ProcessDuration
	lateness metric.Float64Histogram
}

// New returns a Telemetry for the namespace of a scheduler. It is an error if the namespace is empty, or if the meter refuses
// an instrument.
func New(namespace string, o Options) (*Telemetry, error) {
	if namespace == "" {
		return nil, fmt.Errorf("oteltriggerhook: %w: the namespace is empty", triggerhook.ErrInvalid)
	}
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	if o.Propagator == nil {
		o.Propagator = otel.GetTextMapPropagator()
	}
	t := &Telemetry{namespace: namespace, propagator: o.Propagator,
		tracer: o.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		common: []attribute.KeyValue{semconv.MessagingSystemKey.String(string(system)), semconv.MessagingDestinationName(namespace)}}
	if err := t.instruments(o.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))); err != nil {
		return nil, fmt.Errorf("oteltriggerhook: %w", err)
	}
	return t, nil
}

// instruments makes the metrics.
func (t *Telemetry) instruments(m metric.Meter) error {
	var errs [5]error
	t.sent, errs[0] = messagingconv.NewClientSentMessages(m)
	t.took, errs[1] = messagingconv.NewClientOperationDuration(m, metric.WithExplicitBucketBoundaries(seconds...))
	t.consumed, errs[2] = messagingconv.NewClientConsumedMessages(m)
	t.process, errs[3] = messagingconv.NewProcessDuration(m, metric.WithExplicitBucketBoundaries(seconds...))
	t.lateness, errs[4] = m.Float64Histogram("triggerhook.delivery.lateness", metric.WithUnit("s"),
		metric.WithDescription("How long after its due time a task was delivered, by this process's clock; a further attempt is late by the delays before it."),
		metric.WithExplicitBucketBoundaries(seconds...))
	return errors.Join(errs[:]...)
}

// seconds are the bounds of histograms: those that the conventions advise, and three below, because the median lateness is less than 1 ms.
var seconds = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// Creator is what Create calls: a *triggerhook.Scheduler, or a wrapper of one.
type Creator interface {
	// Create is Scheduler.Create.
	Create(ctx context.Context, tasks ...*triggerhook.Task) error
}

// Create is s.Create in a producer span. It writes the trace context into a copy of each task's headers, which then is the
// task's: with W3C Trace Context two keys, traceparent and tracestate, with some 80 bytes. The error is that of s.Create.
func (t *Telemetry) Create(ctx context.Context, s Creator, tasks ...*triggerhook.Task) error {
	attributes := append(t.operation("create", semconv.MessagingOperationTypeSend), batch(tasks)...)
	ctx, span := t.tracer.Start(ctx, "create "+t.namespace, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attributes...))
	defer span.End()
	for _, task := range tasks {
		if task != nil {
			t.Inject(ctx, task)
		}
	}
	began := time.Now()
	err := s.Create(ctx, tasks...)
	labels := t.labels(err)
	t.took.Record(ctx, time.Since(began).Seconds(), "create", system, append(labels, t.took.AttrOperationType(messagingconv.OperationTypeSend))...)
	if err == nil {
		t.sent.Add(ctx, int64(len(tasks)), "create", system, labels...)
		span.SetAttributes(batch(tasks)...) // Create has made the IDs that were empty
	}
	fail(span, err)
	return err
}

// Inject writes the trace context of ctx into the headers of a task, for those who create it otherwise than by Create. The
// headers become a copy, because callers may share one map among many tasks.
func (t *Telemetry) Inject(ctx context.Context, task *triggerhook.Task) {
	carrier := propagation.MapCarrier{}
	if t.propagator.Inject(ctx, carrier); len(carrier) == 0 {
		return
	}
	headers := make(map[string]string, len(task.Headers)+len(carrier))
	maps.Copy(headers, task.Headers)
	maps.Copy(headers, carrier)
	task.Headers = headers
}

// Middleware makes a consumer span of each delivery, which its handler finds in its context, and measures the handler. It belongs
// outermost, so that the span holds what other middleware does. An error (but neither one of triggerhook.Snooze nor triggerhook.Gone), a panic and the end of the goroutine set
// the span's status to Error; the latter two go on.
func (t *Telemetry) Middleware() triggerhook.Middleware {
	return func(next triggerhook.Handler) triggerhook.Handler {
		return func(ctx context.Context, d *triggerhook.Delivery) (err error) {
			id, began := d.ID, time.Now()
			ctx, span := t.startProcess(ctx, d)
			t.consumed.Add(ctx, 1, "process", system, t.labels(nil)...)
			t.lateness.Record(ctx, max(0, began.Sub(d.Due)).Seconds(), metric.WithAttributes(t.common...))
			err = errNotReturned
			defer func() {
				if err != nil {
					t.processed.take(id)
				}
				failed := err
				if triggerhook.Snoozed(err) || triggerhook.Gone(ctx, err) {
					failed = nil
				}
				t.process.Record(ctx, time.Since(began).Seconds(), "process", system, t.labels(failed)...)
				fail(span, failed)
				span.End()
			}()
			return next(ctx, d)
		}
	}
}

// errNotReturned is what a handler has answered until it returns: a panic or runtime.Goexit leaves it.
var errNotReturned = errors.New("the handler panicked or ended its goroutine")

// startProcess begins the consumer span of a delivery.
func (t *Telemetry) startProcess(ctx context.Context, d *triggerhook.Delivery) (context.Context, trace.Span) {
	attributes := append(t.operation("process", semconv.MessagingOperationTypeProcess), semconv.MessagingMessageID(d.ID),
		semconv.MessagingMessageBodySize(len(d.Payload)), attribute.Int("triggerhook.attempt", d.Attempt))
	options := []trace.SpanStartOption{trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attributes...)}
	created := trace.SpanContextFromContext(t.propagator.Extract(context.Background(), propagation.MapCarrier(d.Headers)))
	if created.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: created}))
	}
	ctx, span := t.tracer.Start(ctx, "process "+t.namespace, options...)
	t.processed.put(d.ID, span.SpanContext())
	return ctx, span
}

// operation is the attributes of a span.
func (t *Telemetry) operation(name string, kind attribute.KeyValue) []attribute.KeyValue {
	return append(append(make([]attribute.KeyValue, 0, len(t.common)+6), t.common...), semconv.MessagingOperationName(name), kind)
}

// labels are the attributes of a measurement. The error is told by its kind, because texts are many.
func (t *Telemetry) labels(err error) []attribute.KeyValue {
	labels := append(make([]attribute.KeyValue, 0, 3), semconv.MessagingDestinationName(t.namespace))
	if err != nil {
		labels = append(labels, semconv.ErrorTypeKey.String(kind(err)))
	}
	return labels
}

// kinds are the errors that error.type tells apart.
var kinds = []struct {
	err  error
	name string
}{
	{triggerhook.ErrInvalid, "invalid"}, {triggerhook.ErrExists, "exists"}, {triggerhook.ErrTooLarge, "too_large"}, {triggerhook.ErrUnavailable, "unavailable"},
	{context.DeadlineExceeded, "timeout"}, {context.Canceled, "canceled"}, {errNotReturned, "not_returned"},
}

// kind is the error.type of err.
func kind(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return semconv.ErrorTypeOther.Value.AsString()
}

// fail sets the status of a span, if there is an error.
func fail(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
		span.SetAttributes(semconv.ErrorTypeKey.String(kind(err)))
	}
}

// batch says which task a call is about, or how many.
func batch(tasks []*triggerhook.Task) []attribute.KeyValue {
	switch {
	case len(tasks) == 1 && tasks[0] != nil && tasks[0].ID != "":
		return []attribute.KeyValue{semconv.MessagingMessageID(tasks[0].ID)}
	case len(tasks) == 1:
		return nil
	default:
		return []attribute.KeyValue{semconv.MessagingBatchMessageCount(len(tasks))}
	}
}
