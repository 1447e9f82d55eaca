package oteltriggerhook

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/trace"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/triggerhook/triggerhook/hook"
)

// Hooks returns h with a Confirmed and a LeaseLost that trace, and then call those of h.
func (t *Telemetry) Hooks(h hook.Hooks) hook.Hooks {
	confirmed, lost := h.Confirmed, h.LeaseLost
	h.Confirmed = func(e hook.Confirmed) {
		t.settled(e.Tasks)
		if confirmed != nil {
			confirmed(e)
		}
	}
	h.LeaseLost = func(e hook.LeaseLost) {
		for _, task := range e.Tasks {
			t.processed.take(task.ID)
		}
		if lost != nil {
			lost(e)
		}
	}
	return h
}

// settled makes the span of one deletion of confirmed tasks. The deletion is over by now, so the span has no length.
func (t *Telemetry) settled(tasks []hook.Task) {
	attributes := t.operation("settle", semconv.MessagingOperationTypeSettle)
	if len(tasks) == 1 {
		attributes = append(attributes, semconv.MessagingMessageID(tasks[0].ID))
	} else {
		attributes = append(attributes, semconv.MessagingBatchMessageCount(len(tasks)))
	}
	links := make([]trace.Link, 0, len(tasks))
	for _, task := range tasks {
		if processed, ok := t.processed.take(task.ID); ok {
			links = append(links, trace.Link{SpanContext: processed})
		}
	}
	_, span := t.tracer.Start(context.Background(), "settle "+t.namespace, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attributes...), trace.WithLinks(links...))
	span.End()
}

// most is how many consumer spans wait at most for the confirm of their task. A confirm that comes too late (ErrGone) is
// told by no hook, so what waits is bounded, and the oldest makes room.
const most = 10_000

// spans are the consumer spans of tasks that are not confirmed yet, by task.
type spans struct {
	mu    sync.Mutex
	byID  map[string]trace.SpanContext
	order [most]string // a ring of IDs, in the order in which they came
	next  int          // place of the next one
}

func (s *spans) put(id string, span trace.SpanContext) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[string]trace.SpanContext{}
	}
	delete(s.byID, s.order[s.next])
	s.order[s.next] = id
	s.next = (s.next + 1) % most
	s.byID[id] = span
}

func (s *spans) take(id string) (span trace.SpanContext, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	span, ok = s.byID[id]
	delete(s.byID, id)
	return span, ok
}
