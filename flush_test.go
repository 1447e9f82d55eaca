package triggerhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// lines keeps what a Scheduler logs.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// where returns what the hot set knows of the tasks that stand.
func where(t *testing.T, s stores, ids ...string) (at []task.FindOutcome) {
	t.Helper()
	for _, id := range ids {
		refs, err := s.store.Versions(t.Context(), []string{id})
		if err != nil || len(refs) != 1 {
			t.Fatalf("%s has rows %v, %v", id, refs, err)
		}
		found, err := s.set.Find(t.Context(), task.Partition(id, s.set.Config().Partitions), refs)
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, found[0].Outcome)
	}
	return at
}

func members(t *testing.T, s stores) (n int64) {
	t.Helper()
	for p := range s.set.Config().Partitions {
		st, err := s.set.State(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		n += st.Waiting + st.Claimed
	}
	return n
}

// The hot set does not hear what each verb tells it, and the process stops in good order: it
// has heard it once Run has returned, and no other process is there that could tell it.
func TestRunReturnsOnceTheHotSetHasHeardAll(t *testing.T) {
	soon := 20 * time.Second
	for name, c := range map[string]struct {
		act  func(t *testing.T, sch *triggerhook.Scheduler) error
		err  error
		left int64
	}{
		"create": {func(t *testing.T, sch *triggerhook.Scheduler) error {
			return sch.Create(t.Context(), &triggerhook.Task{ID: "new", Due: time.Now().Add(soon)})
		}, nil, 3},
		"delete": {func(t *testing.T, sch *triggerhook.Scheduler) error { return sch.Delete(t.Context(), "a") }, triggerhook.ErrUnavailable, 1},
		"reschedule": {func(t *testing.T, sch *triggerhook.Scheduler) error {
			return sch.Reschedule(t.Context(), "a", time.Now().Add(soon))
		}, triggerhook.ErrUnavailable, 2},
		"confirm": {func(t *testing.T, sch *triggerhook.Scheduler) error {
			return next(t, sch).Confirm(t.Context())
		}, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, func(t *testing.T, s stores) {
				deaf := &deafSet{Set: s.set}
				s.set = deaf
				sch := s.scheduler(t, triggerhook.Options{})
				stop := run(t, sch)
				sleep(t, 5*time.Second)
				if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now().Add(soon)}, &triggerhook.Task{ID: "b", Due: time.Now()}); err != nil {
					t.Fatal(err)
				}
				deaf.hear(false)
				if err := c.act(t, sch); !errors.Is(err, c.err) {
					t.Errorf("it answered %v, want %v", err, c.err)
				}
				time.AfterFunc(1300*time.Millisecond, func() { deaf.hear(true) })
				stop()
				if n := members(t, s); n != c.left {
					t.Errorf("the hot set holds %d tasks, want %d", n, c.left)
				}
				if name == "create" && where(t, s, "new")[0] != task.FindWaiting {
					t.Error("what was created does not wait in the hot set")
				}
				if name == "reschedule" && where(t, s, "a")[0] != task.FindWaiting {
					t.Error("what was rescheduled does not wait in the hot set in its new version")
				}
			})
		})
	}
}

// What the hot set has not heard by the end of Drain is said, with its number. Run does not wait for
// it any longer, and nothing goes on after it.
func TestWhatIsLeftAtTheEndIsSaid(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		deaf := &deafSet{Set: s.set}
		s.set = deaf
		var log lines
		sch := s.scheduler(t, triggerhook.Options{Drain: 5 * time.Second, Logger: log.logger()})
		stop := run(t, sch)
		sleep(t, 5*time.Second)
		due := func(int) time.Time { return time.Now().Add(30 * time.Second) }
		all := tasks(5, due)
		if err := sch.Create(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		deaf.hear(false)
		if err := sch.Delete(t.Context(), all[0].ID, all[1].ID); !errors.Is(err, triggerhook.ErrUnavailable) {
			t.Errorf("Delete: %v, want ErrUnavailable", err)
		}
		for i := range 3 {
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: fmt.Sprint("new", i), Due: due(0)}); err != nil {
				t.Fatal(err)
			}
		}
		at := time.Now()
		stop()
		if took := time.Since(at); took != 5*time.Second {
			t.Errorf("Run returned after %s, want Drain, 5s", took)
		}
		if said := log.String(); strings.Count(said, "triggerhook: flush failed") != 1 || !strings.Contains(said, "adds=3 removals=2") {
			t.Errorf("the log does not say once that 3 adds and 2 removals are left:\n%s", said)
		}
		before := log.String()
		sleep(t, time.Hour)
		if after := log.String(); after != before {
			t.Errorf("logged after Run had returned: %s", after[len(before):])
		}
		deaf.hear(true) // the process may go on to create and delete: what is left is told then
		if err := sch.Flush(t.Context()); err != nil {
			t.Errorf("Flush: %v", err)
		}
		if n := members(t, s); n != 6 {
			t.Errorf("the hot set holds %d tasks, want 6", n)
		}
	})
}

// A process without Run flushes; until the hot set hears, Flush says what is left, and why.
func TestFlushTellsTheHotSetWhatIsLeft(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		stop := run(t, s.scheduler(t, triggerhook.Options{})) // another process
		defer stop()
		deaf := &deafSet{Set: s.set}
		producer := s
		producer.set = deaf
		sch := producer.scheduler(t, triggerhook.Options{})
		if err := sch.Flush(t.Context()); err != nil {
			t.Errorf("Flush of nothing: %v", err)
		}
		sleep(t, 5*time.Second)
		all := tasks(10, func(int) time.Time { return time.Now().Add(30 * time.Second) })
		if err := sch.Create(t.Context(), all[:4]...); err != nil {
			t.Fatal(err)
		}
		deaf.hear(false)
		if err := sch.Create(t.Context(), all[4:]...); err != nil {
			t.Fatal(err)
		}
		if err := sch.Delete(t.Context(), all[0].ID); !errors.Is(err, triggerhook.ErrUnavailable) {
			t.Errorf("Delete: %v, want ErrUnavailable", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := sch.Flush(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, triggerhook.ErrUnavailable) || !strings.Contains(err.Error(), "6 tasks are left to be added to the hot set, 1 to be removed") {
			t.Errorf("Flush while the hot set is deaf: %v; want what is left, the end of its context, and why", err)
		}
		deaf.hear(true)
		if err := sch.Flush(t.Context()); err != nil {
			t.Errorf("Flush: %v", err)
		}
		if n := members(t, s); n != 9 {
			t.Errorf("the hot set holds %d tasks, want 9", n)
		}
	})
}

// gated is a set whose removals wait for a gate.
type gated struct {
	hotset.Set
	gate chan struct{}
}

func (g *gated) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	select {
	case <-g.gate:
	case <-ctx.Done():
		return task.RemoveResult{}, fmt.Errorf("remove: %w: %w", task.ErrUnavailable, ctx.Err())
	}
	return g.Set.Remove(ctx, p, token, refs)
}

func (g *gated) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	return removeEach(ctx, g.Remove, p, held)
}

// A Delete goes on when its caller has left: Flush waits for that too. It does not wait for
// one that began after it: else it would never end in a busy process.
func TestFlushWaitsForCallsThatBeganBefore(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		stop := run(t, s.scheduler(t, triggerhook.Options{})) // another process
		defer stop()
		sleep(t, 5*time.Second)
		g := &gated{Set: s.set, gate: make(chan struct{})}
		producer := s
		producer.set = g
		sch := producer.scheduler(t, triggerhook.Options{})
		if err := sch.Create(t.Context(), tasks(2, func(int) time.Time { return time.Now().Add(30 * time.Second) })...); err != nil {
			t.Fatal(err)
		}
		leave := func(id string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := sch.Delete(ctx, id); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Delete whose caller leaves: %v", err)
			}
		}
		leave("task-00000")
		flushed := make(chan error, 1)
		go func() { flushed <- sch.Flush(t.Context()) }()
		sleep(t, time.Second)
		select {
		case err := <-flushed:
			t.Fatalf("Flush answered %v before the Delete had its end", err)
		default:
		}
		g.gate <- struct{}{} // one removal
		synctest.Wait()
		later := make(chan error, 1)
		go func() { later <- sch.Delete(t.Context(), "task-00001") }()
		sleep(t, time.Second)
		select {
		case err := <-flushed:
			if err != nil {
				t.Errorf("Flush: %v", err)
			}
		default:
			t.Error("Flush waits for a Delete that began after it")
		}
		if n := members(t, s); n != 1 {
			t.Errorf("the hot set holds %d tasks, want the one whose Delete began later", n)
		}
		close(g.gate)
		if err := errors.Join(<-later, sch.Flush(t.Context())); err != nil {
			t.Errorf("the later Delete and the second Flush: %v", err)
		}
		if n := members(t, s); n != 0 {
			t.Errorf("the hot set holds %d tasks, want none", n)
		}
	})
}

// The client or the durable store is closed while many changes wait for the hot set: the retries end, with
// one line in the log, and so does a Flush.
func TestNothingOutlivesTheStores(t *testing.T) {
	type pair struct {
		name  string
		open  func(t *testing.T) (stores, func())
		close string
	}
	var pairs []pair
	for _, close := range []string{"client", "store"} {
		pairs = append(pairs, pair{"mysql97+redis7/p4/" + close, func(t *testing.T) (stores, func()) {
			s := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), 4)
			return s, func() {
				if close == "client" {
					s.redis.Close()
				} else {
					s.db.Close()
				}
			}
		}, close})
	}
	pairs = append(pairs, pair{"bolt+local/p4/store", func(t *testing.T) (stores, func()) {
		s := embedded(t, 4)
		return s, func() { s.store.(interface{ Close() error }).Close() }
	}, "store"})
	for _, c := range pairs {
		t.Run(c.name, func(t *testing.T) {
			s, end := c.open(t)
			real := s.set
			deaf := &deafSet{Set: real}
			s.set = deaf
			stop := run(t, s.scheduler(t, triggerhook.Options{}))
			until(t, "there is a generation", 10*time.Second, func() bool {
				st, err := real.State(t.Context(), 0)
				return err == nil && st.AsOf.Generation != 0
			})
			stop()
			here := goleak.IgnoreCurrent()
			var log lines
			sch := s.scheduler(t, triggerhook.Options{Logger: log.logger()})
			all := tasks(20, func(int) time.Time { return time.Now().Add(20 * time.Second) })
			if err := sch.Create(t.Context(), all[:10]...); err != nil {
				t.Fatal(err)
			}
			deaf.hear(false)
			if err := sch.Create(t.Context(), all[10:]...); err != nil {
				t.Fatal(err)
			}
			if c.close == "client" { // of what is to be removed the durable store is not asked
				if err := sch.Delete(t.Context(), all[0].ID, all[1].ID); !errors.Is(err, triggerhook.ErrUnavailable) {
					t.Errorf("Delete: %v, want ErrUnavailable", err)
				}
			}
			flushed := make(chan error, 1)
			go func() { flushed <- sch.Flush(t.Context()) }()
			before := len(log.String())
			end()
			deaf.hear(true)
			err := <-flushed
			if !errors.Is(err, triggerhook.ErrClosed) || !strings.Contains(err.Error(), "given up") {
				t.Errorf("Flush while a store is closed: %v, want ErrClosed and what was given up", err)
			}
			if c.close == "client" { // the pool of the durable store may have opened a connection since
				s.db.Close()
			}
			goleak.VerifyNone(t, here, goleak.IgnoreAnyFunction(testserver.Goroutines))
			said := log.String()[before:]
			if strings.Count(said, "kind=closed") != 1 || !strings.HasSuffix(said, "\n") || !strings.Contains(said[strings.LastIndex(said[:len(said)-1], "\n")+1:], "kind=closed") {
				t.Errorf("want one line that says that it is given up, and none after it:\n%s", said)
			}
		})
	}
}

// Run's return, and then the close of the stores, leaves no goroutine and no line, also if much
// was unsent.
func TestNothingOutlivesRun(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (stores, func()){
		"mysql97+redis7/p4": func(t *testing.T) (stores, func()) {
			s := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), 4)
			return s, func() { s.redis.Close(); s.db.Close() }
		},
		"bolt+local/p4": func(t *testing.T) (stores, func()) {
			s := embedded(t, 4)
			return s, func() { s.store.(interface{ Close() error }).Close() }
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, end := open(t)
			here := goleak.IgnoreCurrent()
			deaf := &deafSet{Set: s.set}
			s.set = deaf
			var log lines
			sch := s.scheduler(t, triggerhook.Options{Drain: time.Millisecond, Logger: log.logger()})
			stop := run(t, sch)
			until(t, "there is a generation", 10*time.Second, func() bool {
				st, err := s.set.State(t.Context(), 3)
				return err == nil && st.AsOf.Generation != 0
			})
			all := tasks(20, func(int) time.Time { return time.Now().Add(20 * time.Second) })
			if err := errors.Join(sch.Create(t.Context(), all[:10]...), sch.Flush(t.Context())); err != nil { // adds linger
				t.Fatal(err)
			}
			deaf.hear(false)
			if err := sch.Create(t.Context(), all[10:]...); err != nil {
				t.Fatal(err)
			}
			if err := sch.Delete(t.Context(), all[0].ID, all[1].ID); !errors.Is(err, triggerhook.ErrUnavailable) {
				t.Errorf("Delete: %v, want ErrUnavailable", err)
			}
			stop()
			said := log.String()
			if !strings.Contains(said, "adds=10 removals=2") {
				t.Errorf("the log does not say that 10 adds and 2 removals are left:\n%s", said)
			}
			end()
			goleak.VerifyNone(t, here, goleak.IgnoreAnyFunction(testserver.Goroutines))
			if after := log.String(); after != said {
				t.Errorf("logged after the stores were closed: %s", after[len(said):])
			}
		})
	}
}

// closing is a set whose client is closed while a removal is under way: that one ends later, as
// one whose connection was cut.
type closing struct {
	deafSet
	closed atomic.Bool
	gate   chan struct{} // a value lets a removal end
}

func (c *closing) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	if c.closed.Load() {
		<-c.gate
	}
	return c.deafSet.Remove(ctx, p, token, refs)
}

func (c *closing) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	return removeEach(ctx, c.Remove, p, held)
}

func (c *closing) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	if c.closed.Load() {
		return nil, fmt.Errorf("add: %w", task.ErrClosed)
	}
	return c.deafSet.Add(ctx, p, a)
}

// A call that fails after a client was closed hides neither that nor what was given up for it,
// and says nothing after the line that says so.
func TestACallThatEndsAfterTheCloseHidesNothing(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		stop := run(t, s.scheduler(t, triggerhook.Options{})) // another process
		defer stop()
		sleep(t, 5*time.Second)
		c := &closing{deafSet: deafSet{Set: s.set}, gate: make(chan struct{})}
		producer := s
		producer.set = c
		var log lines
		sch := producer.scheduler(t, triggerhook.Options{Logger: log.logger()})
		all := tasks(2, func(int) time.Time { return time.Now().Add(time.Minute) })
		if err := sch.Create(t.Context(), all[0]); err != nil {
			t.Fatal(err)
		}
		c.hear(false)
		if err := sch.Delete(t.Context(), all[0].ID); !errors.Is(err, triggerhook.ErrUnavailable) {
			t.Errorf("Delete: %v, want ErrUnavailable", err)
		}
		c.closed.Store(true)
		sleep(t, 15*time.Second) // the next try is under way, and what was logged may be logged again
		if err := sch.Create(t.Context(), all[1]); err != nil {
			t.Fatal(err)
		}
		flushed := make(chan error, 1)
		go func() { flushed <- sch.Flush(t.Context()) }()
		sleep(t, 10*time.Millisecond)
		c.gate <- struct{}{}
		if err := <-flushed; !errors.Is(err, triggerhook.ErrClosed) || !strings.Contains(err.Error(), "2 tasks were given up") {
			t.Errorf("Flush: %v, want ErrClosed and what was given up", err)
		}
		synctest.Wait()
		if said := strings.Split(strings.TrimSpace(log.String()), "\n"); !strings.Contains(said[len(said)-1], "kind=closed") {
			t.Errorf("the last line is not that it is given up:\n%s", log.String())
		}
	})
}
