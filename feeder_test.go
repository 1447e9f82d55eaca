package triggerhook_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// scanned runs f after each read of the window, before its rows are fed. The auditor reads what is
// overdue alone, in a round of its own that may come first: f does not run after that.
type scanned struct {
	durable.Store
	f func()
}

func (s *scanned) Scan(ctx context.Context, after task.Cursor, belowMS int64, limit, inline int) ([]task.Row, error) {
	rows, err := s.Store.Scan(ctx, after, belowMS, limit, inline)
	if belowMS > time.Now().UnixMilli() {
		s.f()
	}
	return rows, err
}

// A creator that commits between the feeder's read and its feed adds for itself,
// because the horizon was raised before.
func TestATaskCreatedDuringAScanIsNotMissed(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		creator := s.scheduler(t, triggerhook.Options{})
		var once sync.Once
		feeding := s
		feeding.store = &scanned{s.store, func() {
			once.Do(func() {
				if err := creator.Create(t.Context(), tasks(8, func(int) time.Time { return time.Now().Add(20 * time.Second) })...); err != nil {
					t.Errorf("Create: %v", err)
				}
			})
		}}
		sch := feeding.scheduler(t, triggerhook.Options{AuditGrace: time.Hour})
		stop := run(t, sch)
		if l := drain(t, sch, time.Minute); l.len() != 8 || l.worst > time.Second {
			t.Errorf("%d of 8 tasks fired, at worst %s late", l.len(), l.worst)
		}
		stop()
	})
}

// A feeder's page is read, and fed only after any tombstone is forgotten; its tasks
// were deleted meanwhile.
func TestAFeederThatReadForLongRaisesNoGhost(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		creator := s.scheduler(t, triggerhook.Options{})
		due := time.Now().Add(50 * time.Second)
		all := tasks(8, func(int) time.Time { return due })
		if err := creator.Create(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		var read atomic.Bool
		feeding := s
		feeding.store = &scanned{s.store, func() {
			if read.Swap(true) {
				return
			}
			for _, x := range all {
				if err := creator.Delete(t.Context(), x.ID); err != nil {
					t.Errorf("Delete: %v", err)
				}
			}
			sleep(t, 4*task.TombstoneTTL)
		}}
		sch := feeding.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		if l := drain(t, sch, 2*time.Minute); l.len() > 0 {
			t.Errorf("%d deleted tasks fired: %v", l.len(), l.times)
		}
		stop()
		empty(t, s)
	})
}

// dumbFeed fails every other Feed of each partition.
type dumbFeed struct {
	hotset.Set
	mu sync.Mutex
	n  map[int]int
}

func (d *dumbFeed) Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error) {
	d.mu.Lock()
	d.n[p]++
	fails := d.n[p]%2 == 1
	d.mu.Unlock()
	if fails {
		return task.PartitionStatus{}, fmt.Errorf("feed: %w", task.ErrUnavailable)
	}
	return d.Set.Feed(ctx, p, page)
}

func TestAPageThatWasNotFedIsReadAgain(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		creator := s.scheduler(t, triggerhook.Options{})
		start := time.Now()
		if err := creator.Create(t.Context(), tasks(2500, func(i int) time.Time { return start.Add(time.Minute + time.Duration(i)*time.Millisecond) })...); err != nil {
			t.Fatal(err)
		}
		s.set = &dumbFeed{Set: s.set, n: map[int]int{}}
		sch := s.scheduler(t, triggerhook.Options{AuditGrace: time.Hour})
		stop := run(t, sch)
		if l := drain(t, sch, 2*time.Minute); l.len() != 2500 || l.worst > time.Second {
			t.Errorf("%d of 2500 tasks fired, at worst %s late", l.len(), l.worst)
		}
		stop()
	})
}

// slowStore stops after each commit of a Create, for that long.
type slowStore struct {
	durable.Store
	stop time.Duration
}

func (s *slowStore) Create(ctx context.Context, rows []task.Row) error {
	err := s.Store.Create(ctx, rows)
	<-time.After(s.stop)
	return err
}

// lateStore is a store whose creators take that long until they commit.
type lateStore struct {
	durable.Store
	stop time.Duration
}

func (s *lateStore) Create(ctx context.Context, rows []task.Row) error {
	<-time.After(s.stop)
	return s.Store.Create(ctx, rows)
}

// A task lies more than the largest Window ahead of what its creator knew of the
// time; when the creator commits, the feeder has read past its due time.
func TestASlowCommitOfAFarTaskIsNotMissed(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{Window: 24 * time.Hour, AuditGrace: 24 * time.Hour})
		stop := run(t, sch)
		sleep(t, 5*time.Second)
		slow := s
		slow.store = &lateStore{s.store, 2 * time.Hour}
		due := time.Now().Add(25 * time.Hour)
		if err := slow.scheduler(t, triggerhook.Options{}).Create(t.Context(), tasks(8, func(int) time.Time { return due })...); err != nil {
			t.Errorf("Create: %v", err)
		}
		if l := drain(t, sch, 24*time.Hour); l.len() != 8 || l.worst > time.Second {
			t.Errorf("%d of 8 tasks fired, at worst %s late", l.len(), l.worst)
		}
		stop()
	})
}

// A creator stops between its commit and its add, longer than any tombstone
// lasts, and its task is deleted meanwhile.
func TestACreatorThatStoppedRaisesNoGhost(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 5*time.Second)
		slow := s
		slow.store = &slowStore{s.store, time.Minute}
		creator := slow.scheduler(t, triggerhook.Options{})
		due := time.Now().Add(70 * time.Second)
		var wg sync.WaitGroup
		for _, x := range tasks(8, func(int) time.Time { return due }) {
			wg.Go(func() {
				if err := creator.Create(t.Context(), x); err != nil {
					t.Errorf("Create: %v", err)
				}
			})
		}
		sleep(t, time.Second)
		for i := range 8 {
			if err := sch.Delete(t.Context(), fmt.Sprintf("task-%05d", i)); err != nil {
				t.Errorf("Delete: %v", err)
			}
		}
		if l := drain(t, sch, 3*time.Minute); l.len() > 0 {
			t.Errorf("%d deleted tasks fired: %v", l.len(), l.times)
		}
		wg.Wait()
		stop()
		empty(t, s)
	})
}

// A backlog larger than the hot set may hold drains through it, oldest first.
func TestABacklogDrainsThroughABoundedHotSet(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		const hot = 200
		limit := hot + 1000*s.set.Config().Partitions // a page of each may be on its way
		n := limit + 1800
		start := time.Now()
		sch := s.scheduler(t, triggerhook.Options{HotTasks: hot})
		if err := sch.Create(t.Context(), tasks(n, func(i int) time.Time { return start.Add(-time.Duration(n-i) * time.Second) })...); err != nil {
			t.Fatal(err)
		}
		stop := run(t, sch)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		var got []string
		most := int64(0)
		for len(got) < n {
			d, err := sch.Consume(ctx)
			if err != nil {
				t.Fatalf("after %d of %d: %v", len(got), n, err)
			}
			got = append(got, d.ID)
			if err := d.Confirm(ctx); err != nil {
				t.Fatal(err)
			}
			if len(got)%100 == 0 {
				var members int64
				for p := range s.set.Config().Partitions {
					st, err := s.set.State(ctx, p)
					if err != nil {
						t.Fatal(err)
					}
					members += st.Waiting + st.Claimed
				}
				most = max(most, members)
			}
		}
		if most > int64(limit) {
			t.Errorf("the hot set held %d tasks, HotTasks is %d", most, hot)
		}
		for i, id := range got {
			if want := fmt.Sprintf("task-%05d", i); s.set.Config().Partitions == 1 && id != want {
				t.Fatalf("delivery %d is %s, want %s", i, id, want)
			}
		}
		stop()
		empty(t, s)
	})
}
