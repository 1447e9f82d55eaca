package triggerhook_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// bubbles runs a test on the embedded pair, with 1 and 4 partitions, in time that
// stands still while anything runs.
func bubbles(t *testing.T, test func(t *testing.T, s stores)) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("bolt+local/p%d", partitions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, embedded(t, partitions)) })
		})
	}
}

// drain consumes for that long and returns what came.
func drain(t *testing.T, sch *triggerhook.Scheduler, d time.Duration) *ledger {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var l ledger
	l.consume(ctx, t, sch, 4).Wait()
	return &l
}

// scanned runs f after each read of the window, before its rows are fed.
type scanned struct {
	durable.Store
	f func()
}

func (s *scanned) Scan(ctx context.Context, after task.Cursor, belowMS int64, limit, inline int) ([]task.Row, error) {
	rows, err := s.Store.Scan(ctx, after, belowMS, limit, inline)
	s.f()
	return rows, err
}

// A creator who commits between the feeder's read and its feed adds for itself,
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

func (d *dumbFeed) Feed(ctx context.Context, p int, page task.Page) (task.Feeding, error) {
	d.mu.Lock()
	d.n[p]++
	fails := d.n[p]%2 == 1
	d.mu.Unlock()
	if fails {
		return task.Feeding{}, fmt.Errorf("feed: %w", task.ErrUnavailable)
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

// A creator who died between its commit and its add is found by the auditor.
func TestARowThatNobodyAddedIsFound(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 10*time.Second)
		var rows []task.Row
		for i := range 20 {
			due := time.Now().Add(time.Duration(i) * time.Second).UnixMilli()
			rows = append(rows, task.Row{Ref: task.Ref{ID: fmt.Sprint("orphan-", i), Ver: int64(i)}, DueMS: due, ExecMS: due})
		}
		if err := s.store.Create(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		if l := drain(t, sch, time.Minute); l.len() != 20 || l.worst > 12*time.Second {
			t.Errorf("%d of 20 tasks fired, at worst %s late; want all within the grace and a round", l.len(), l.worst)
		}
		st, err := sch.Stats(t.Context())
		if err != nil || st.Process.AuditFinds != 20 {
			t.Errorf("%d audit finds, %v, want 20", st.Process.AuditFinds, err)
		}
		stop()
	})
}

// finds counts how often the hot set is asked where members are.
type finds struct {
	hotset.Set
	n atomic.Int64
}

func (f *finds) Find(ctx context.Context, p int, refs []task.Ref) ([]task.Found, error) {
	f.n.Add(1)
	return f.Set.Find(ctx, p, refs)
}

// However much is in flight, an audit asks once: what is in flight is read for each
// question.
func TestAnAuditOfMuchInFlightAsksOnce(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		const n = 2500
		set := &finds{Set: s.set}
		s.set = set
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		if err := sch.Create(t.Context(), tasks(n, func(int) time.Time { return time.Now() })...); err != nil {
			t.Fatal(err)
		}
		var held []*triggerhook.Delivery
		for range n {
			held = append(held, next(t, sch))
		}
		sleep(t, 20*time.Second)
		if asked, most := set.n.Load(), int64(4*s.set.Config().Partitions); asked == 0 || asked > most {
			t.Errorf("in 20 s the hot set was asked %d times where %d tasks are, want 1 to %d", asked, n, most)
		}
		for _, d := range held {
			d.ConfirmAsync()
		}
		stop()
		empty(t, s)
	})
}

// A deleter who died between its row and its member: the member was claimed by a
// worker that died too. The reaper looks at the row first.
func TestTheReaperGivesBackOnlyWhatHasARow(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 5*time.Second)
		all := tasks(40, func(int) time.Time { return time.Now() })
		if err := sch.Create(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		for p := range s.set.Config().Partitions {
			if _, err := s.set.Claim(t.Context(), p, fmt.Sprint("dead", p), 100, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		var ids []string
		for _, x := range all[:20] {
			ids = append(ids, x.ID)
		}
		refs, err := s.store.Versions(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.store.Delete(t.Context(), refs); err != nil {
			t.Fatal(err)
		}
		sleep(t, 30*time.Second) // and nobody consumes, who would look at the row too
		var waiting int64
		for p := range s.set.Config().Partitions {
			st, err := s.set.State(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			waiting += st.Waiting
		}
		if waiting != 20 {
			t.Errorf("%d tasks were given back, want the 20 that have rows", waiting)
		}
		l := drain(t, sch, time.Minute)
		for _, id := range ids {
			if l.times[id] > 0 {
				t.Errorf("%s was delivered without a row", id)
			}
		}
		if l.len() != 20 {
			t.Errorf("%d tasks fired, want the 20 that have rows", l.len())
		}
		stop()
		empty(t, s)
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
func TestACreatorWhoStoppedRaisesNoGhost(t *testing.T) {
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
		const n, hot = 3000, 200
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
		if limit := int64(hot + 1000*s.set.Config().Partitions); most > limit { // a page may be on its way
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

// elections is a set that takes its time to answer, as a server does, whose process
// may fall silent, as one that died, and which counts what the process asks.
type elections struct {
	hotset.Set
	mu   sync.Mutex
	dead bool
	n    int
	held bool
}

const answerTime = 8 * time.Millisecond

func (e *elections) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	<-time.After(answerTime)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.n++
	if e.dead {
		return nil, fmt.Errorf("elect: %w", task.ErrUnavailable)
	}
	terms, err := e.Set.Elect(ctx, holder, term, roles...)
	e.held = err == nil && terms[0].Held && terms[1].Held
	return terms, err
}

// look returns whether the process holds the roles, and how often it stood.
func (e *elections) look() (held bool, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.held, e.n
}

func (e *elections) die() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dead = true
}

// Who holds the roles dies without a word: another has them within 3 s, whenever
// it began to stand for them and whenever the holder died.
func TestRolesAreTakenOverWithinThreeSeconds(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		start := func() (*elections, func()) {
			e := &elections{Set: s.set}
			with := s
			with.set = e
			return e, run(t, with.scheduler(t, triggerhook.Options{}))
		}
		var stops []func()
		holder, stop := start()
		stops = append(stops, stop)
		for phase := range 16 {
			sleep(t, time.Duration(1+phase)*190*time.Millisecond)
			next, stop := start()
			stops = append(stops, stop)
			sleep(t, 10*time.Second+time.Duration(phase)*70*time.Millisecond)
			if held, _ := next.look(); held {
				t.Fatal("a second process holds a role beside the first")
			}
			holder.die()
			died := time.Now()
			for held := false; !held; held, _ = next.look() {
				if time.Since(died) > 20*time.Second {
					t.Fatal("nobody took over")
				}
				sleep(t, 10*time.Millisecond)
			}
			if took := time.Since(died); took > 3*time.Second {
				t.Errorf("%d: it took %s until another held the roles", phase, took)
			}
			holder = next
		}
		for _, stop := range stops {
			stop()
		}
	})
}

// A process that waits for a role asks once a term, not at each renewal.
func TestWhoWaitsForARoleAsksOnceATerm(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		var all []*elections
		for i := range 6 {
			e := &elections{Set: s.set}
			with := s
			with.set = e
			stop := run(t, with.scheduler(t, triggerhook.Options{}))
			defer stop()
			all = append(all, e)
			sleep(t, time.Duration(i)*310*time.Millisecond)
		}
		sleep(t, 10*time.Second)
		var before []int
		for _, e := range all {
			_, n := e.look()
			before = append(before, n)
		}
		sleep(t, time.Minute)
		for i, e := range all {
			held, n := e.look()
			if asked := n - before[i]; !held && (asked < 20 || asked > 22) {
				t.Errorf("process %d, which holds no role, asked %d times in a minute, want about 21", i, asked)
			}
		}
	})
}

// Workers restart faster than an audit's period, as in a rolling restart that does not end:
// what fell through is found nevertheless.
func TestWorkersThatRestartAllTheTimeFindWhatFellThrough(t *testing.T) {
	for _, life := range []time.Duration{2 * time.Second, 4500 * time.Millisecond} {
		t.Run(life.String(), func(t *testing.T) {
			bubbles(t, func(t *testing.T, s stores) {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
				defer cancel()
				var l ledger
				var wg sync.WaitGroup
				wg.Go(func() {
					for ctx.Err() == nil {
						lived, end := context.WithTimeout(ctx, life)
						err := s.scheduler(t, triggerhook.Options{}).Handle(lived, 4, func(_ context.Context, d *triggerhook.Delivery) error {
							l.note(d)
							return nil
						})
						if end(); err != nil {
							t.Errorf("Handle: %v", err)
						}
					}
				})
				sleep(t, 10*time.Second)
				var rows []task.Row
				for i := range 8 {
					due := time.Now().Add(time.Second).UnixMilli()
					rows = append(rows, task.Row{Ref: task.Ref{ID: fmt.Sprint("orphan-", i), Ver: int64(i + 1)}, DueMS: due, ExecMS: due})
				}
				if err := s.store.Create(t.Context(), rows); err != nil {
					t.Fatal(err)
				}
				wg.Wait()
				if most := 5*time.Second + 2*life; l.len() != 8 || l.worst > most {
					t.Errorf("%d of 8 tasks fired, at worst %s late; want all within AuditGrace and two lives, %s", l.len(), l.worst, most)
				}
				empty(t, s)
			})
		})
	}
}

// flapping is a set whose every other election is not answered, and a store that counts audits.
type flapping struct {
	hotset.Set
	n atomic.Int64
}

func (f *flapping) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	if f.n.Add(1)%2 == 0 && term > 0 {
		return nil, fmt.Errorf("elect: %w", task.ErrUnavailable)
	}
	return f.Set.Elect(ctx, holder, term, roles...)
}

// audits counts the reads of auditors, which need no payloads.
type audits struct {
	durable.Store
	n atomic.Int64
}

func (a *audits) Scan(ctx context.Context, after task.Cursor, belowMS int64, limit, inline int) ([]task.Row, error) {
	if inline == 0 {
		a.n.Add(1)
	}
	return a.Store.Scan(ctx, after, belowMS, limit, inline)
}

// The first round of a term audits, but not of each: a process that loses its roles and has them
// back all the time audits no more often than others.
func TestAProcessThatLosesItsRolesAllTheTimeAuditsAsOftenAsOthers(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		counted := &audits{Store: s.store}
		s.store, s.set = counted, &flapping{Set: s.set}
		stop := run(t, s.scheduler(t, triggerhook.Options{}))
		sleep(t, time.Second)
		if n := counted.n.Load(); n != 1 {
			t.Errorf("%d audits in the first second, want 1", n)
		}
		sleep(t, time.Minute)
		if n := counted.n.Load(); n < 5 || n > 13 {
			t.Errorf("%d audits in 61 s, want one each 5 s at most", n)
		}
		stop()
	})
}
