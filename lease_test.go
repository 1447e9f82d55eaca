package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// young is a set in memory whose generation begins when a Redis would have lost its data:
// what had been claimed before that may be in a worker's hands.
type young struct {
	hotset.Set
	start time.Time
}

func (y *young) State(ctx context.Context, p int) (task.State, error) {
	st, err := y.Set.State(ctx, p)
	if st.AsOf.Generation != 0 {
		st.StartMS = y.start.UnixMilli()
	}
	return st, err
}

// How long what was claimed before a loss of data may be in hand is told by the longest Lease
// that is recorded, and not by that of the process which deletes. Where none is recorded it
// is the longest that is legal.
func TestDeleteGoesByTheLeaseThatIsRecorded(t *testing.T) {
	for _, c := range []struct {
		name          string
		recorded, own time.Duration
		still, over   time.Duration // so long after the loss a Delete says claimed, and so long after it does not
	}{
		{"longer than its own", time.Minute, time.Second, 59 * time.Second, 62 * time.Second},
		{"shorter than its own", time.Second, time.Minute, 0, 3 * time.Second},
		{"none", 0, time.Second, 9*time.Minute + 59*time.Second, 10*time.Minute + 2*time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubbles(t, func(t *testing.T, s stores) {
				if err := s.store.Migrate(t.Context(), s.set.Config().Partitions); err != nil { // which records no Lease
					t.Fatal(err)
				}
				if c.recorded > 0 {
					s.scheduler(t, triggerhook.Options{Lease: c.recorded})
				}
				y := &young{Set: s.set}
				sch, err := triggerhook.New(s.store, y, triggerhook.Options{Lease: c.own})
				if err != nil {
					t.Fatal(err)
				}
				begin(t, s)
				lost := time.Now()
				y.start = lost
				for i, after := range []time.Duration{c.still, c.over} {
					id := fmt.Sprint("t", i)
					if err := sch.Create(t.Context(), &triggerhook.Task{ID: id, Due: lost}); err != nil {
						t.Fatal(err)
					}
					<-time.After(time.Until(lost.Add(after)))
					err := sch.Delete(t.Context(), id)
					if i == 0 && !errors.Is(err, triggerhook.ErrClaimed) || i == 1 && err != nil {
						t.Errorf("Delete %s after the loss, where a Lease of %s is recorded: %v", after, c.recorded, err)
					}
				}
			})
		})
	}
}

// What a worker may have claimed ahead before a loss of data was due up to MaxAhead after it (ClaimAhead), by a clock that may be a second behind.
func TestDeleteGoesByWhatMayHaveBeenClaimedAhead(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		s.scheduler(t, triggerhook.Options{})
		y := &young{Set: s.set}
		sch, err := triggerhook.New(s.store, y, triggerhook.Options{})
		if err != nil {
			t.Fatal(err)
		}
		begin(t, s)
		<-time.After(time.Minute)
		y.start = time.Now()
		line := y.start.Add(time.Second + task.MaxAhead)
		err = sch.Create(t.Context(), &triggerhook.Task{ID: "claimed ahead", Due: line}, &triggerhook.Task{ID: "later", Due: line.Add(time.Millisecond)})
		if err != nil {
			t.Fatal(err)
		}
		if err := sch.Delete(t.Context(), "claimed ahead"); !errors.Is(err, triggerhook.ErrClaimed) {
			t.Errorf("Delete of what may have been claimed ahead: %v, want ErrClaimed", err)
		}
		if err := sch.Delete(t.Context(), "later"); err != nil {
			t.Errorf("Delete of what no worker can have claimed: %v", err)
		}
	})
}

// begin has each partition of s begin a current generation, without a worker, which would
// record its Lease.
func begin(t *testing.T, s stores) {
	t.Helper()
	for p := range s.set.Config().Partitions {
		st, err := s.set.State(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		place := task.Place{Generation: 7, Server: st.Server}
		text, err := task.Generation{Current: place}.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := s.store.SwapRecord(t.Context(), task.GenerationName(p), "", string(text)); !ok || err != nil {
			t.Fatalf("SwapRecord: %t, %v", ok, err)
		}
		if _, err := s.set.Horizon(t.Context(), p, task.HorizonRequest{Epoch: 1, HorizonMS: time.Now().Add(time.Hour).UnixMilli(), Limit: 1000, Generation: 7, Server: st.Server}); err != nil {
			t.Fatal(err)
		}
	}
}

// A worker with a longer Lease than any before begins right after another one that has
// announced that, and may have died since: it begins no sooner, because not all processes that delete know
// of the Lease yet.
func TestNoWorkerUsesALongerLeaseBefore(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		l := &settling{Set: s.set}
		s.set = l
		s.scheduler(t, triggerhook.Options{Lease: time.Second})
		if ok, err := s.store.SwapRecord(t.Context(), task.RecordLease, "1000", "1000 60000"); !ok || err != nil {
			t.Fatalf("SwapRecord: %t, %v", ok, err)
		}
		began := time.Now()
		run(t, s.scheduler(t, triggerhook.Options{Lease: 30 * time.Second}))
		sleep(t, 10*time.Second)
		r, err := s.store.Records(t.Context())
		want := task.Lease{EffectiveMS: 30_000, AnnouncedMS: 60_000}
		if is, e := r.Lease(); err != nil || e != nil || is != want || l.began.Sub(began) < 1900*time.Millisecond {
			t.Errorf("the worker began %s after its start, want 2 s; %+v is recorded, want %+v", l.began.Sub(began), is, want)
		}
	})
}
