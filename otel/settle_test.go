package oteltriggerhook

import (
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

// What waits for a confirm that never comes is bounded: the oldest makes room.
func TestSpansThatWaitAreBounded(t *testing.T) {
	var s spans
	for i := range most + 5 {
		s.put(fmt.Sprint(i), trace.NewSpanContext(trace.SpanContextConfig{SpanID: trace.SpanID{byte(i), byte(i >> 8), 1}}))
	}
	if len(s.byID) != most {
		t.Errorf("%d spans wait, want %d", len(s.byID), most)
	}
	if _, ok := s.take("4"); ok {
		t.Error("the oldest waits still")
	}
	for _, id := range []string{"5", fmt.Sprint(most + 4)} {
		if span, ok := s.take(id); !ok || !span.HasSpanID() {
			t.Errorf("%s does not wait", id)
		}
		if _, ok := s.take(id); ok {
			t.Errorf("%s waits twice", id)
		}
	}
}
