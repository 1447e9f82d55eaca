package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crypto/rand"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// patient is a pair of stores: a file and a Redis with two partitions.
type patient struct {
	*testing.T
	Stores
	open func() *hotset.Redis // another Set of the same members
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	ns := "p" + strings.ToLower(rand.Text()[:12])
	store, err := bolt.Open(filepath.Join(t.TempDir(), "tasks.bolt"), bolt.Options{Namespace: ns, NoFlush: true})
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: testserver.Shared(t, testserver.Redis).Addr})
	t.Cleanup(func() {
		if err := errors.Join(store.Close(), rdb.Close()); err != nil {
			t.Error(err)
		}
	})
	p := &patient{T: t}
	p.open = func() *hotset.Redis {
		set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: ns, Partitions: 2})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	p.Stores = Stores{Store: store, Set: p.open(), Grace: time.Second}
	if err := p.scheduler().Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *patient) scheduler() *triggerhook.Scheduler {
	p.Helper()
	s, err := triggerhook.New(p.Store, p.open(), triggerhook.Options{Lease: time.Second, AuditGrace: time.Second, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		p.Fatal(err)
	}
	return s
}

// handle runs a worker until done answers true, and fails the test if that takes too long.
func (p *patient) handle(s *triggerhook.Scheduler, h func(*triggerhook.Delivery), done func() bool) {
	p.Helper()
	ctx, stop := context.WithTimeout(p.Context(), 30*time.Second)
	defer stop()
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil && !done() {
			<-tick.C
		}
		stop()
	}()
	err := s.Handle(ctx, 8, func(_ context.Context, d *triggerhook.Delivery) error { h(d); return nil })
	if err != nil || !done() {
		p.Fatalf("the worker ended with %v, it had done its work: %t", err, done())
	}
}

// begin has a worker begin the generations, and end.
func (p *patient) begin() {
	p.Helper()
	s := p.scheduler()
	p.must(s.Create(p.Context(), &triggerhook.Task{ID: "first", Due: time.Now()}))
	var begun atomic.Bool
	p.handle(s, func(*triggerhook.Delivery) { begun.Store(true) }, begun.Load)
	p.must(p.expect(p.Context()))
}

// check expects that many rows, members and batches that disagree, and as many that are mended.
func (p *patient) check(repair bool, missing, ghosts, batches int) {
	p.Helper()
	all := p.Check(p.Context(), repair)
	for _, w := range []struct {
		check string
		n     int
	}{{"stores.missing", missing}, {"stores.ghosts", ghosts}, {"stores.batches", batches}} {
		i := slices.IndexFunc(all, func(f Finding) bool { return f.Check == w.check })
		if i < 0 || !strings.HasPrefix(all[i].Seen, fmt.Sprint(w.n, " ")) || (all[i].Status == OK) != (w.n == 0 || repair) {
			p.Errorf("%+v, want %d of %s, repaired: %t", all, w.n, w.check, repair)
		}
	}
}

// must fails the test with err.
func (p *patient) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// Each kind of disagreement is found, and nothing else; repair mends it, so that what lives is delivered, and nothing else.
func TestDisagreementsAreFoundAndMended(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.check(false, 0, 0, 0)
	p.begin()
	now := time.Now().UnixMilli()
	row := func(id string, dueMS int64) task.Row {
		return task.Row{Ref: task.Ref{ID: id, Ver: task.NewVer()}, NextMS: dueMS, DueMS: dueMS, CreatedMS: now, Payload: []byte("payload of " + id)}
	}
	p.must(p.Store.Create(t.Context(), []task.Row{row("missing/1", now-5000), row("missing/2", now-5000), row("far", now+1e9)}))
	for _, id := range []string{"ghost/1", "ghost/2", "ghost/3"} {
		ref := task.Ref{ID: id, Ver: task.NewVer()}
		asOf, err := p.Set.Clock(t.Context(), p.of(id))
		p.must(err)
		_, err = p.Set.Add(t.Context(), p.of(id), task.AddRequest{AsOf: asOf, Entries: []task.Entry{{Ref: ref, NextMS: now + 3e4, DueMS: now + 3e4}}})
		p.must(err)
	}
	p.leaveBatch([]task.Row{row("batch/1", now-5000)}, "lost", time.Millisecond)
	held := row("held", now-5000)
	p.leaveBatch([]task.Row{held}, "held", time.Minute)
	p.untilExpired()

	p.check(false, 2, 3, 1)
	p.check(false, 2, 3, 1) // the first check has changed nothing
	p.check(true, 2, 3, 1)
	p.check(false, 0, 0, 0)
	// A worker that has extended its lease meanwhile keeps its batch (ReapStanding).
	p.must(p.repair(t.Context(), p.of("held"), suspects{batches: []task.ExpiredBatch{{Token: "held", Refs: []task.Ref{held.Ref}}}}).err)
	got := map[string]int{}
	var mu sync.Mutex
	p.handle(p.scheduler(), func(d *triggerhook.Delivery) {
		mu.Lock()
		defer mu.Unlock()
		if got[d.ID] += d.Attempt; string(d.Payload) != "payload of "+d.ID {
			t.Errorf("task %q was delivered with payload %q", d.ID, d.Payload)
		}
	}, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) >= 3
	})
	if fmt.Sprint(got) != "map[batch/1:2 missing/1:1 missing/2:1]" {
		t.Errorf("the worker delivered %v (attempts)", got)
	}
}

func (p *patient) of(id string) int { return task.Partition(id, p.Set.Config().Partitions) }

// leaveBatch leaves rows in a batch under a lease, as a worker that is gone.
func (p *patient) leaveBatch(rows []task.Row, token string, lease time.Duration) {
	p.Helper()
	p.must(p.Store.Create(p.Context(), rows))
	part := p.of(rows[0].ID)
	confirmed := rows[0]
	for confirmed.ID, confirmed.Ver = "", task.NewVer(); confirmed.ID == "" || p.of(confirmed.ID) != part; {
		confirmed.ID = "confirmed/" + rand.Text() // a member that was confirmed, and is not removed yet
	}
	rows = append(rows, confirmed)
	asOf, err := p.Set.Clock(p.Context(), part)
	p.must(err)
	var entries []task.Entry
	for _, r := range rows {
		entries = append(entries, task.Entry{Ref: r.Ref, NextMS: r.NextMS, DueMS: r.DueMS, Payload: r.Payload})
	}
	_, err = p.Set.Add(p.Context(), part, task.AddRequest{AsOf: asOf, Entries: entries, Token: token, Lease: lease})
	p.must(err)
}

// What disagrees for a moment, as it does while a worker confirms or a producer creates, is no finding.
func TestWhatPassesIsNoFinding(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.begin()
	now := time.Now().UnixMilli()
	row := task.Row{Ref: task.Ref{ID: "created", Ver: task.NewVer()}, NextMS: now, DueMS: now, CreatedMS: now}
	ghost := task.Ref{ID: "confirmed", Ver: task.NewVer()}
	add := func(ref task.Ref) {
		asOf, err := p.Set.Clock(t.Context(), p.of(ref.ID))
		p.must(err)
		_, err = p.Set.Add(t.Context(), p.of(ref.ID), task.AddRequest{AsOf: asOf, Entries: []task.Entry{{Ref: ref, NextMS: now, DueMS: now}}})
		p.must(err)
	}
	done := row
	done.Ref = task.Ref{ID: "done", Ver: task.NewVer()}
	p.must(p.Store.Create(t.Context(), []task.Row{row, done}))
	add(ghost)
	first, err := p.look(t.Context())
	p.must(err)
	if !slices.ContainsFunc(first, suspects.any) {
		t.Fatal("the first look finds nothing")
	}
	add(row.Ref)
	_, err = p.Store.Delete(t.Context(), []task.Ref{done.Ref})
	p.must(err)
	_, err = p.Set.Remove(t.Context(), p.of(ghost.ID), "", []task.Ref{ghost})
	p.must(err)
	for part := range first {
		if found, err := p.confirm(t.Context(), part, first[part]); err != nil || found.any() {
			t.Errorf("the second look finds %+v, %v", found, err)
		}
	}
	p.check(false, 0, 0, 0)
}

// untilExpired waits until the generation is as old as a lease: no batch counts as over before.
func (p *patient) untilExpired() {
	p.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-tick.C {
		for part := range p.Set.Config().Partitions {
			all, err := p.expired(p.Context(), part)
			p.must(err)
			if len(all) > 0 {
				return
			}
		}
	}
	p.Fatal("no batch expires")
}

// A hot set without a generation is named if a task is overdue: no worker runs.
func TestAColdHotSetIsFoundOnceTasksAreOverdue(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.must(p.scheduler().Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now().Add(-time.Minute)}))
	all := p.Check(t.Context(), false)
	if all[0].Check != "stores.generation" || all[0].Status != Warning || !strings.HasPrefix(all[0].Seen, "2 of 2 ") {
		t.Errorf("%+v, want a warning that the partitions are cold", all[0])
	}
}

// The rule of repair: whatever it is told is wrong, beside a worker and producers, no task that lives is lost, and none that was deleted or
// moved comes back. Here it is told again and again that each member is a ghost, each row missing, and each batch over.
func TestRepairDropsNoTaskThatLives(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	s := p.scheduler()
	var mu sync.Mutex
	delivered, want, deleted := map[string]int{}, map[string]bool{}, map[string]bool{}
	const n = 600
	made := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { p.misrepair(ctx) })
	wg.Go(func() { defer close(made); p.produce(s, n, &mu, want, deleted) })
	p.handle(s, func(d *triggerhook.Delivery) { mu.Lock(); defer mu.Unlock(); delivered[d.ID]++ }, func() bool {
		select {
		case <-made:
		default:
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		for id := range want {
			if delivered[id] == 0 {
				return false
			}
		}
		return true
	})
	stop()
	wg.Wait()
	for id := range deleted {
		if delivered[id] > 0 {
			t.Errorf("task %q was delivered though Delete had returned nil", id)
		}
	}
	for id, n := range delivered {
		if n > 1 {
			t.Errorf("task %q was delivered %d times", id, n)
		}
	}
	if len(want) < n/3 || len(deleted) < n/20 { // a Delete that cannot know whether a worker had the task answers ErrClaimed
		t.Errorf("%d tasks live and %d are deleted: too few", len(want), len(deleted))
	}
}

// misrepair repairs what is right, until ctx ends.
func (p *patient) misrepair(ctx context.Context) {
	rounds := 0
	for ; ctx.Err() == nil; rounds++ {
		if p.expect(ctx) != nil {
			continue
		}
		for part := range p.Set.Config().Partitions {
			var f suspects
			for page, err := range p.Set.Members(ctx, part) {
				if err == nil {
					f.ghosts = append(f.ghosts, page...)
				}
			}
			rows, _ := p.Store.Scan(ctx, task.Cursor{}, task.MaxDue, pageRows, 0)
			for _, r := range rows {
				if p.of(r.ID) == part {
					f.missing = append(f.missing, r.Ref)
				}
			}
			f.batches, _ = p.Set.Expired(ctx, part, 100, 0)
			p.repair(ctx, part, f) // errors say that something was stale or cold; the next round goes on
		}
	}
	if rounds < 10 {
		p.Errorf("%d rounds of repair, too few to mean anything", rounds)
	}
}

// produce creates tasks, deletes a third of them, and moves another third.
func (p *patient) produce(s *triggerhook.Scheduler, n int, mu *sync.Mutex, want, deleted map[string]bool) {
	for i := range n {
		id := fmt.Sprint("task/", i)
		if err := s.Create(p.Context(), &triggerhook.Task{ID: id, Due: time.Now().Add(time.Duration(200+i%5*200) * time.Millisecond)}); err != nil {
			p.Errorf("create: %v", err)
			return
		}
		switch i % 3 {
		case 0:
			err := s.Delete(p.Context(), id)
			if mu.Lock(); err == nil {
				deleted[id] = true
			}
			mu.Unlock()
			continue
		case 1:
			if err := s.Reschedule(p.Context(), id, time.Now().Add(500*time.Millisecond)); err != nil {
				p.Logf("reschedule: %v", err)
			}
		}
		mu.Lock()
		want[id] = true
		mu.Unlock()
	}
}
