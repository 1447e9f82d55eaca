package triggerhook_test

import (
	"fmt"
	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// costs is how many round trips to MySQL and to Redis a call takes in a step of one task. Zero:
// Clock, because another answer of the last 5 s has told the time.
func costs(c map[string]int) (onMySQL, onRedis map[string]int) {
	many := c["a call of up to 1000 members"]
	return map[string]int{
			"Create": c["`Create` of 1 to 1000 rows"], "Delete": c["`Delete` of 1 to 50 rows"], "DeleteByID": c["`DeleteByID` of 1 to 50 rows"], "Move": c["`Move`, `Replace`"],
			"Replace": c["`Move`, `Replace`"], "Upsert": c["`Upsert` of 1 to 1000 rows"], "ScanIDs": c["`ScanIDs`, `CountPage` from a cursor"],
			"Get": c["`Get`, `Versions`"], "Versions": c["`Get`, `Versions`"], "Scan": c["`Scan` from a cursor"], "ScanFromStart": c["`Scan` from the start"],
			"RaiseAttempts": c["`RaiseAttempts` of rows with the same attempts"],
			"Advance":       c["`Advance` that has nothing to do"],
		}, map[string]int{
			"Clock": c["`Clock` within 5 s of another answer"], "State": c["`Horizon`, `State`, `Waiting`, `Elect`"], "Horizon": c["`Horizon`, `State`, `Waiting`, `Elect`"],
			"Find": c["`Find`"], "Expired": c["`Expired` that finds one batch"], "Add": many, "Feed": many, "Remove": many, "RemoveHeld": many, "Claim": many, "Extend": many, "Release": many,
		}
}

// Each step of a task's life calls the stores as docs/design.md says, in that order, and the
// round trips that it names are those of these calls.
func TestStepsCallTheStoresAsTheDesignSays(t *testing.T) {
	onMySQL, onRedis := costs(documentedCosts(t))
	want := map[string]string{}
	for _, row := range tableRows(t, stepTable) {
		want[row[0]] = strings.Trim(row[1], "`")
		sql, cache := 0, 0
		for call := range strings.FieldsSeq(want[row[0]]) {
			n, is := onMySQL[call]
			m, also := onRedis[call]
			if !is && !also {
				t.Errorf("%s: there is no call %s", row[0], call)
			}
			sql, cache = sql+n, cache+m
		}
		if got := fmt.Sprint(sql, " ", cache); got != row[2]+" "+row[3] {
			t.Errorf("%s: its calls take %s round trips, docs/design.md says %s %s", row[0], got, row[2], row[3])
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 1)
		l := &life{s: s, calls: &calls{}, seen: map[string]string{}}
		s.store, s.set = notedStore{s.store, l.calls}, notedSet{s.set, l.calls}
		l.sch = s.scheduler(t, triggerhook.Options{AuditGrace: 2 * time.Second})
		stop := run(t, l.sch)
		sleep(t, 20100*time.Millisecond) // between two rounds of each role
		l.verbs(t)
		l.deliveries(t)
		l.roles(t)
		stop()
		if !maps.Equal(l.seen, want) {
			t.Errorf("the calls of each step are\n%q\nand docs/design.md says\n%q", l.seen, want)
		}
	})
}

// life takes tasks through their steps, and notes the calls of each.
type life struct {
	*calls
	s    stores // whose calls are not noted
	sch  *triggerhook.Scheduler
	seen map[string]string
	held *triggerhook.Delivery
}

// step notes the calls of do, except those that are of other flows at that moment.
func (l *life) step(t *testing.T, name string, do func() error, others ...string) {
	t.Helper()
	synctest.Wait()
	l.take()
	if err := do(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	synctest.Wait()
	all := slices.DeleteFunc(l.take(), func(call string) bool { return slices.Contains(others, call) })
	l.seen[name] = strings.Join(all, " ")
}

func (l *life) verbs(t *testing.T) {
	ctx := t.Context()
	in := func(id string, d time.Duration) *triggerhook.Task {
		return &triggerhook.Task{ID: id, Due: time.Now().Add(d)}
	}
	l.step(t, "Create, due within the window", func() error { return l.sch.Create(ctx, in("near", 30*time.Second), in("next", 30*time.Second)) })
	l.step(t, "Create, far", func() error { return l.sch.Create(ctx, in("far", time.Hour)) })
	l.step(t, "Get", func() error { _, err := l.sch.Get(ctx, "near"); return err })
	l.step(t, "Reschedule", func() error { return l.sch.Reschedule(ctx, "near", time.Now().Add(20*time.Second)) })
	l.step(t, "Reschedule of a row that was moved before", func() error { return l.sch.Reschedule(ctx, "near", time.Now().Add(40*time.Second)) })
	l.changes(t, in)
	l.step(t, "Delete, due within the window", func() error { return l.sch.Delete(ctx, "next") })
	l.step(t, "Delete of a row that was moved before", func() error { return l.sch.Delete(ctx, "near") })
	l.step(t, "Delete, far", func() error { return l.sch.Delete(ctx, "far") })
}

func (l *life) changes(t *testing.T, in func(id string, d time.Duration) *triggerhook.Task) {
	ctx := t.Context()
	upsert := func(on triggerhook.OnConflict, task *triggerhook.Task) func() error {
		return func() error { _, err := l.sch.Upsert(ctx, on, task); return err }
	}
	l.step(t, "Upsert of a new task, due within the window", upsert(triggerhook.Keep, in("up", 30*time.Second)))
	l.step(t, "Upsert that keeps the stored task", upsert(triggerhook.Keep, in("up", 30*time.Second)))
	l.step(t, "List of one page", func() error {
		for _, err := range l.sch.List(ctx, triggerhook.Filter{IDPrefix: "up"}) {
			return err
		}
		return nil
	})
	l.step(t, "Upsert that changes a stored task", upsert(triggerhook.Debounce, in("up", 40*time.Second)))
	l.step(t, "Upsert that changes a row that was moved before", upsert(triggerhook.Debounce, in("up", 50*time.Second)))
	if err := l.sch.Create(ctx, in("text", 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	l.step(t, "Update of payload or headers", func() error { return l.sch.Update(ctx, "text", triggerhook.Change{Payload: []byte("x")}) })
	if err := l.sch.Delete(ctx, "up", "text"); err != nil {
		t.Fatal(err)
	}
}

func (l *life) deliveries(t *testing.T) {
	ctx := t.Context()
	var d *triggerhook.Delivery
	soon := func(id string) {
		if err := l.sch.Create(ctx, &triggerhook.Task{ID: id, Due: time.Now().Add(10 * time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
	}
	take := func() error { d = next(t, l.sch); return nil }
	soon("a")
	take()
	l.step(t, "confirm", func() error { return d.Confirm(ctx) })
	soon("b")
	l.step(t, "claim and hand out what falls due within 10 ms", take)
	l.step(t, "roll back, within the horizon", func() error { return d.Rollback(ctx, 50*time.Millisecond) }, "Claim")
	l.step(t, "claim and hand out what failed before", take)
	l.step(t, "roll back, beyond the horizon", func() error { return d.Rollback(ctx, time.Hour) }, "Claim")
}

// roles notes what the keeper and the background roles call in one round.
func (l *life) roles(t *testing.T) {
	second := func() error { sleep(t, time.Second); return nil }
	until := func(call, name string, others ...string) {
		for range 10 {
			if l.step(t, name, second, others...); slices.Contains(strings.Fields(l.seen[name]), call) {
				return
			}
		}
	}
	l.hold(t)
	l.step(t, "keeper, each second and for each partition with something in hand", second, "Records", "Expired", "Clock", "Horizon", "Scan", "Feed", "State", "Advance", "ScanFromStart")
	if err := l.held.Confirm(t.Context()); err != nil {
		t.Error(err)
	}
	until("Feed", "feeder, one round with one page", "Records", "Expired", "State", "Advance", "ScanFromStart")

	// A row that no add follows, late already: its creator has died. The auditor looks each 2 s,
	// and the feeder 5 s after its last round.
	late := time.Now().Add(-10 * time.Second).UnixMilli()
	if err := l.s.store.Create(t.Context(), []task.Row{{Ref: task.Ref{ID: "fell", Ver: 1}, NextMS: late, DueMS: late}}); err != nil {
		t.Fatal(err)
	}
	until("Add", "auditor, one round that finds a row", "Records", "Expired")

	// A batch of a worker that has died.
	if _, err := l.s.set.Claim(t.Context(), 0, task.ClaimRequest{Token: "dead-worker", Limit: 10, Lease: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	until("Release", "reaper, one batch", "Records", "State", "Advance", "ScanFromStart", "Horizon", "Scan", "Feed")
}

// hold leaves one delivery in hand.
func (l *life) hold(t *testing.T) {
	if err := l.sch.Create(t.Context(), &triggerhook.Task{ID: "held", Due: time.Now()}); err != nil {
		t.Fatal(err)
	}
	l.held = next(t, l.sch)
}
