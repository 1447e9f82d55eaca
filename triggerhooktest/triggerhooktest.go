// Package triggerhooktest is for tests of programs that create and handle tasks. New returns a real Scheduler on the embedded pair of stores,
// with a clock that only Advance moves: no goroutine, no sleeping, and a day passes in milliseconds.
//
// The reminder is sent after 24 hours unless the order is paid:
//
//	func TestTheReminderIsSentAfterADayUnlessPaid(t *testing.T) {
//		s := triggerhooktest.New(t, triggerhook.Options{})
//		var sent []string
//		s.Handle(func(ctx context.Context, d *triggerhook.Delivery) error {
//			sent = append(sent, d.ID)
//			return nil
//		})
//		shop := Shop{s.Scheduler, s.Now} // the code under test
//		shop.Order("17")
//		shop.Order("18")
//		s.Advance(23 * time.Hour)
//		shop.Paid("18")
//		s.RequireNotCreated(t, "remind-18")
//		s.Advance(time.Hour)
//		if !slices.Equal(sent, []string{"remind-17"}) {
//			t.Errorf("reminders were sent for %q", sent)
//		}
//	}
//
// # The clock
//
// It begins at the time of New, in whole milliseconds and UTC, and stands still until Advance or WaitFor moves it.
// Code under test takes s.Now as its clock; what it reckons from time.Now is not what the test means. In a bubble of testing/synctest the clock is the
// bubble's: s.Now is time.Now, Advance sleeps, and code under test may call time.Now. New finds out by itself.
//
// What Options name as periods of this process (Lease, DeliveryTimeout) go by time.Now, not by this clock. A Window that is not set is 24 hours.
//
// # What is real
//
// Create, Delete, Reschedule, Get and the settlements are the library's own, in both stores, and so are the rounds of the background roles, Middleware and
// Hooks. Deliveries are not concurrent: Advance calls the Handler in its own goroutine, for one task after the other, in the
// order of their times. Run, Handle with its three arguments, and Consume are not for this Scheduler: Run answers ErrRunning, and Consume waits for ever.
//
// CreateTx, DeleteTx, RescheduleTx and ConfirmTx answer ErrUnsupported, as they do on every embedded store, because they need a transaction of MySQL.
// Code that calls them is tested on a real MySQL, with durable.NewMySQL and hotset.NewRedis. To test all else with this package, let the code
// take the calls that it makes in transactions as an interface, and give it Create, Delete, Reschedule and Confirm here.
package triggerhooktest

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/manual"
)

// Scheduler is a triggerhook.Scheduler whose time a test moves. Its own methods fail the test if something goes wrong. They are called by
// the goroutine of the test, and not by a Handler; those of triggerhook.Scheduler may be called from anywhere.
type Scheduler struct {
	*triggerhook.Scheduler

	t     testing.TB
	clock clock
	steps manual.Steps
	store *bolt.Store
	spy   *spy

	handler manual.Handler
	busy    bool // Advance or WaitFor is under way
}

// New returns a Scheduler on a store in a temporary folder of t, which ends with t. Its log goes to t.Output, unless
// o has a Logger. It fails t if o is not valid.
func New(t testing.TB, o triggerhook.Options) *Scheduler {
	t.Helper()
	s := &Scheduler{t: t, clock: newClock(), spy: newSpy()}
	if o.Window == 0 {
		o.Window = 24 * time.Hour
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s.spy.watch(&o.Hooks, s.Now)
	store, err := bolt.Open(filepath.Join(t.TempDir(), "tasks.bolt"), bolt.Options{NoFlush: true})
	s.check("open the store", err)
	s.store = store
	t.Cleanup(func() { store.Close() })
	set, err := local.New(local.Options{Now: s.clock.now})
	s.check("make the hot set", err)
	s.Scheduler, err = triggerhook.New(store, set, o)
	s.check("make the scheduler", err)
	s.check("migrate", s.Migrate(t.Context()))
	s.steps, err = manual.Of(s.Scheduler, s.clock.now)
	s.check("begin", err)
	s.check("feed", s.steps.Feed(t.Context()))
	return s
}

// check fails the test if there is an error.
func (s *Scheduler) check(act string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("triggerhooktest: %s: %v", act, err)
	}
}

// Handle says which Handler Advance and WaitFor call, in place of the one before, wrapped in Options.Middleware. Without one no task
// is delivered. A Handler may create, delete and reschedule tasks; FailNow in it ends the test.
func (s *Scheduler) Handle(h triggerhook.Handler) {
	s.t.Helper()
	if h == nil {
		s.t.Fatal("triggerhooktest: the Handler is nil")
	}
	wrapped, err := s.steps.Wrap(h)
	s.check("wrap the handler", err)
	s.handler = wrapped
}

// Now is the present time of the scheduler.
func (s *Scheduler) Now() time.Time { return s.clock.now() }

// Advance moves the clock on by d. Meanwhile it delivers each task that falls due, at its time and in order: also
// those that handlers create, and those that are offered again after their delay. It returns once all of them are settled, at the
// end of d. With 0 it delivers what is due now. It fails the test if d is negative, or if more than 10,000 deliveries come
// at the same moment.
func (s *Scheduler) Advance(d time.Duration) {
	s.t.Helper()
	if d < 0 {
		s.t.Fatalf("triggerhooktest: Advance(%s): the clock does not go back", d)
	}
	defer s.begin("Advance")()
	end := s.Now().Add(d)
	s.deliverUntil(end, func() bool { return false })
	s.clock.moveTo(end)
	s.check("feed", s.steps.Feed(s.t.Context()))
}

// begin refuses a call within another one, which a Handler would make.
func (s *Scheduler) begin(call string) (end func()) {
	s.t.Helper()
	if s.busy {
		s.t.Fatalf("triggerhooktest: %s was called by a Handler, while Advance or WaitFor is under way", call)
	}
	s.busy = true
	return func() { s.busy = false }
}

// mostAtOnce is how many deliveries may come at one moment.
const mostAtOnce = 10_000

// deliverUntil delivers what falls due until end, or until done.
func (s *Scheduler) deliverUntil(end time.Time, done func() bool) {
	s.t.Helper()
	ctx, n := s.t.Context(), 0
	for s.handler != nil && !done() {
		at, is, err := s.steps.Next(ctx)
		s.check("look for the next task", err)
		if !is || at.After(end) {
			return
		}
		if at.After(s.Now()) {
			s.clock.moveTo(at)
			s.check("feed", s.steps.Feed(ctx))
			n = 0
		}
		delivered, err := s.steps.Deliver(ctx, s.handler)
		s.check("deliver", err)
		if !delivered { // a row that the hot set has not got yet
			s.check("feed", s.steps.Feed(ctx))
		}
		if n++; n > mostAtOnce {
			s.t.Fatalf("triggerhooktest: more than %d deliveries at %s; the last: %s", mostAtOnce, s.Now(), s.spy.last())
		}
	}
}

// clock is what time it is, and how it goes on.
type clock interface {
	now() time.Time
	moveTo(t time.Time)
}

// newClock returns the bubble's clock in a bubble, and otherwise one of its own.
func newClock() clock {
	if inBubble() {
		return bubbleClock{}
	}
	return &ownClock{at: time.Now().UTC().Truncate(time.Millisecond)}
}

// ownClock stands still unless it is moved.
type ownClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *ownClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *ownClock) moveTo(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.at) {
		c.at = t
	}
}

// Event is something that happens to a task, which WaitFor waits for.
type Event int

const (
	Delivered Event = iota + 1 // a Handler has been called for it
	Failed                     // a Handler has returned an error for it, or panicked
	Confirmed                  // its row was deleted because it is done
)

// String is the name of e.
func (e Event) String() string {
	switch e {
	case Delivered:
		return "Delivered"
	case Failed:
		return "Failed"
	case Confirmed:
		return "Confirmed"
	}
	return fmt.Sprintf("Event(%d)", int(e))
}

// WaitFor moves the clock on, as Advance does, until e has happened to the task of that id, and no further. It returns at
// once if it has happened before. It fails t if no task is left that could be delivered, or 10 years have passed.
func (s *Scheduler) WaitFor(t testing.TB, id string, e Event) {
	t.Helper()
	defer s.begin("WaitFor")()
	if s.handler == nil && !s.spy.saw(id, e) {
		t.Fatalf("triggerhooktest: WaitFor(%q, %s): there is no Handler; call Handle first", id, e)
	}
	began := s.Now()
	s.deliverUntil(began.AddDate(10, 0, 0), func() bool { return s.spy.saw(id, e) })
	if !s.spy.saw(id, e) {
		t.Fatalf("triggerhooktest: WaitFor(%q, %s): it did not happen by %s, and nothing is due within 10 years. %s", id, e, s.Now(), s.there(context.WithoutCancel(t.Context())))
	}
}
