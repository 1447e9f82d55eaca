package retry

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// queued is a queue of n things, of which each round does one.
func queued(n int64) (*Loop, *atomic.Int64) {
	var left atomic.Int64
	left.Store(n)
	l := &Loop{Pause: time.Second, Round: func(context.Context) { left.Add(-1) }, Waiting: func() bool { return left.Load() > 0 }}
	return l, &left
}

func TestTheGoroutineEndsWithItsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, left := queued(3)
		began := time.Now()
		l.Start()
		l.Start() // one goroutine, not two
		ended := l.ended
		<-ended
		if left.Load() != 0 || time.Since(began) != 2*time.Second {
			t.Errorf("%d are left after %s, want 0 after 2s: three rounds with a pause between two", left.Load(), time.Since(began))
		}
		left.Store(1)
		l.Start()
		synctest.Wait()
		if left.Load() != 0 {
			t.Error("what was queued after the goroutine had ended waits for ever")
		}
	})
}

func TestHurryEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, left := queued(2)
		l.PauseFirst = true
		began := time.Now()
		l.Hurry()
		synctest.Wait()
		l.Hurry()
		synctest.Wait()
		if left.Load() != 0 || time.Since(began) != 0 {
			t.Errorf("%d are left after %s, want 0 at once", left.Load(), time.Since(began))
		}
		l.Hurry() // nothing waits
		if l.stop != nil {
			t.Error("there is a goroutine, and nothing waits")
		}
	})
}

func TestHaltCutsOffARoundAndKeepsTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, left := queued(1)
		under := make(chan struct{})
		round := l.Round
		l.Round = func(ctx context.Context) { close(under); <-ctx.Done() }
		l.Start()
		<-under
		l.Halt()
		if left.Load() != 1 {
			t.Fatalf("%d are left, want 1", left.Load())
		}
		l.Round = round
		l.Start()
		synctest.Wait()
		if left.Load() != 0 {
			t.Error("Start after Halt does not go on with the queue")
		}
	})
}

func TestFailuresOfACancelledCallAreNone(t *testing.T) {
	var f Failures
	began := time.Now()
	f.Note(context.Canceled)
	f.Note(nil)
	if err := f.Since(began); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	first, second := errors.New("first"), errors.New("second")
	f.GiveUp(2, first)
	f.Note(second)
	if n, why := f.GivenUp(); n != 2 || why != first {
		t.Errorf("GivenUp: %d, %v, want 2, first", n, why)
	}
	if err := f.Since(began); err != second {
		t.Errorf("Since: %v, want second", err)
	}
	if err := f.Since(time.Now().Add(time.Hour)); err != nil {
		t.Errorf("Since a later time: %v, want nil", err)
	}
}

func TestBegunByCountsCallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f InFlight
		end := f.Begin(1)
		then := time.Now()
		<-time.After(time.Second)
		endLater := f.Begin(1)
		if n := f.BegunBy(then); n != 1 {
			t.Errorf("%d had begun, want 1", n)
		}
		end()
		if n := f.BegunBy(time.Now()); n != 1 {
			t.Errorf("%d are under way, want 1", n)
		}
		endLater()
	})
}
