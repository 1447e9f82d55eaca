package triggerhook_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
)

// A handler that finds its order with more time counts no attempt: the order is cancelled at its new deadline, however few
// attempts a task has, and there is no dead letter.
func TestAnOrderWithMoreTimeIsCancelledAtItsNewDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, end := openScheduler(triggerhook.Options{MaxAttempts: 1, Logger: slog.New(slog.DiscardHandler)})
		defer end()
		sh := &shop{&orders{byID: map[string]*order{}}, s}
		first, last := time.Now().Add(time.Hour), time.Now().Add(3*time.Hour)
		if err := sh.place(t.Context(), "17", first); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 4*time.Hour)
		defer stop()
		calls := 0
		err := s.Handle(ctx, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
			if calls++; calls <= 2 && !sh.orders.extend("17", first.Add(time.Duration(calls)*time.Hour)) { // the customer is served by another process
				t.Error("the order is not open when its handler begins")
			}
			if d.Attempt != 1 {
				t.Errorf("call %d is attempt %d, want 1", calls, d.Attempt)
			}
			return sh.cancel(ctx, d)
		})
		if err != nil {
			t.Fatal(err)
		}
		if row, _ := sh.orders.get("17"); calls != 3 || row.state != "cancelled" || !row.deadline.Equal(last) {
			t.Errorf("after %d calls the order is %+v, want it cancelled by the third one, at %s", calls, row, last)
		}
		for d, err := range s.ListDead(t.Context(), triggerhook.DeadFilter{}) {
			t.Errorf("there is a dead letter: %+v, %v", d, err)
		}
	})
}
