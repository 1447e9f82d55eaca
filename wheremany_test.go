package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// fires checks that what is delivered within the next minutes is exactly want, each "ID and seconds after start".
func fires(t *testing.T, sch *triggerhook.Scheduler, start time.Time, want ...string) {
	t.Helper()
	var got []string
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		d, err := sch.Consume(ctx)
		cancel()
		if err != nil {
			break
		}
		got = append(got, fmt.Sprintf("%s %.0f", d.ID, time.Since(start).Seconds()))
		if err := d.Confirm(t.Context()); err != nil {
			t.Errorf("Confirm of %q: %v", d.ID, err)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("delivered %q, want %q", got, want)
	}
}

// What RescheduleWhere has moved fires once, at its new time; what was deleted meanwhile does not come back.
func TestRescheduleWhereTellsTheHotSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 2)
		store := &interfering{Store: s.store}
		s.store = store
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		defer stop()
		sleep(t, 5*time.Second)
		start := time.Now()
		for i, id := range []string{"c/a", "c/b", "c/c", "c/gone", "other"} {
			create(t, sch, &triggerhook.Task{ID: id, Due: start.Add(time.Duration(10+i) * time.Second)})
		}
		store.before = func() {
			if err := sch.Delete(t.Context(), "c/gone"); err != nil {
				t.Error(err)
			}
		}
		f := triggerhook.Filter{IDPrefix: "c/"}
		for round, want := range []triggerhook.WhereResult{{Matched: 4, Changed: 3}, {Matched: 3, Changed: 3}} { // the second moves rows that were moved
			if r, err := sch.RescheduleWhere(t.Context(), f, triggerhook.Shift{By: 10 * time.Second}, triggerhook.WhereOptions{}); err != nil || r != want {
				t.Errorf("round %d: %+v, %v; want %+v", round, r, err, want)
			}
		}
		fires(t, sch, start, "other 14", "c/a 30", "c/b 31", "c/c 32")
	})
}

// A mover that died has left the version before in the hot set, and the row names it. RescheduleWhere removes it first.
func TestRescheduleWhereRemovesWhatADeadMoverLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 1)
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		defer stop()
		sleep(t, 5*time.Second)
		start := time.Now()
		create(t, sch, &triggerhook.Task{ID: "c/a", Due: start.Add(10 * time.Second)}, &triggerhook.Task{ID: "c/b", Due: start.Add(time.Hour)})
		rows, err := s.store.Get(t.Context(), []string{"c/a"})
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		if moved, err := s.store.MoveMany(t.Context(), []task.Move{{Ref: rows[0].Ref, To: task.NewVer(), DueMS: start.Add(time.Hour).UnixMilli()}}); err != nil || !moved[0] {
			t.Fatal(moved, err)
		}
		r, err := sch.RescheduleWhere(t.Context(), triggerhook.Filter{IDPrefix: "c/"}, triggerhook.Shift{To: start.Add(40 * time.Second)}, triggerhook.WhereOptions{})
		if err != nil || r.Changed != 2 {
			t.Errorf("RescheduleWhere: %+v, %v", r, err)
		}
		fires(t, sch, start, "c/a 40", "c/b 40")
	})
}

// If it is not known whether a page was moved, the process finds out, and each task fires once, where its row is.
func TestRescheduleWhereWithoutAnAnswerIsMadeGood(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		defer stop()
		sleep(t, 5*time.Second)
		start := time.Now()
		create(t, sch, &triggerhook.Task{ID: "c/a", Due: start.Add(20 * time.Second)})
		vague := s
		vague.store = &vagueStore{s.store, true}
		r, err := vague.scheduler(t, triggerhook.Options{}).RescheduleWhere(t.Context(), triggerhook.Filter{IDPrefix: "c/"}, triggerhook.Shift{By: 20 * time.Second}, triggerhook.WhereOptions{})
		if !errors.Is(err, triggerhook.ErrUnavailable) || r.Changed != 0 {
			t.Errorf("RescheduleWhere: %+v, %v; want ErrUnavailable", r, err)
		}
		fires(t, sch, start, "c/a 40")
	})
}
