package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/metrics"
)

func TestHandlersAreMeasuredByTheirOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := metrics.NewHandlers("shop")
		for range 2 {
			takes(t, h, time.Second, func() error { return nil })
		}
		takes(t, h, 20*time.Second, func() error { return errors.New("busy") })
		takes(t, h, 5*time.Second, func() error { return fmt.Errorf("closed: %w", triggerhook.Snooze(time.Hour)) })
		takes(t, h, 8*time.Second, func() error { return triggerhook.Discard("no such card") })
		takes(t, h, 9*time.Second, func() error { return fmt.Errorf("confirm: %w", triggerhook.ErrGone) })
		takes(t, h, 3*time.Second, func() error { panic("fell") })
		takes(t, h, 4*time.Second, func() error { runtime.Goexit(); return nil })
		registry := prometheus.NewRegistry()
		registry.MustRegister(h, metrics.NewHandlers("other")) // each namespace has its own
		families, err := registry.Gather()
		if err != nil || len(families) != 1 || families[0].GetName() != "triggerhook_handler_seconds" {
			t.Fatalf("%v, %v; want triggerhook_handler_seconds", families, err)
		}
		for outcome, want := range map[string]struct {
			n   uint64
			sum float64
		}{"ok": {2, 2}, "snoozed": {1, 5}, "discarded": {1, 8}, "gone": {1, 9}, "error": {1, 20}, "panic": {2, 7}} {
			got := histogram(families[0], "shop", outcome)
			if got.GetSampleCount() != want.n || got.GetSampleSum() != want.sum || len(got.GetBucket()) == 0 || got.Schema == nil {
				t.Errorf("%s: %v, want %d in %g s, with fixed buckets and native ones", outcome, got, want.n, want.sum)
			}
			if none := histogram(families[0], "other", outcome); none == nil || none.GetSampleCount() != 0 {
				t.Errorf("%s of what has handled nothing: %v, want 0", outcome, none)
			}
		}
	})
}

// takes lets a handler that ends with end after a while pass through h.
func takes(t *testing.T, h *metrics.Handlers, while time.Duration, end func() error) {
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() { _ = recover() }()
		_ = h.Middleware(func(context.Context, *triggerhook.Delivery) error {
			<-time.After(while)
			return end()
		})(t.Context(), &triggerhook.Delivery{})
	})
	wg.Wait()
}

// histogram is that of a family with those labels; nil if there is none.
func histogram(family *dto.MetricFamily, namespace, outcome string) *dto.Histogram {
	for _, m := range family.GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if labels["namespace"] == namespace && labels["outcome"] == outcome {
			return m.GetHistogram()
		}
	}
	return nil
}
