package triggerhook_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
)

// Pages that begin after the last task of the one before are the whole list, by time and by ID, also where that task is gone by then.
func TestAListGoesOnAfterACursor(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{})
		var all []*triggerhook.Task
		first := time.Now().Add(time.Hour)
		for i := range 50 {
			all = append(all, &triggerhook.Task{ID: fmt.Sprintf("%c/%02d", "ab"[i%2], i), Due: first.Add(time.Duration(i/4) * time.Second), Headers: map[string]string{"odd": fmt.Sprint(i%2 == 1)}})
		}
		create(t, sch, all...)
		for _, f := range []triggerhook.Filter{{}, {IDPrefix: "a/"}, {IDPrefix: "b/", DueFrom: first.Add(3 * time.Second)}, {DueFrom: first.Add(3 * time.Second), Headers: map[string]string{"odd": "true"}}} {
			whole, _ := pageOf(t, sch, f, 1000)
			var paged []string
			for {
				ids, cursor := pageOf(t, sch, f, 3)
				if paged = append(paged, ids...); len(ids) == 0 {
					break
				}
				f.After = cursor
			}
			if !slices.Equal(paged, whole) || len(whole) < 10 {
				t.Errorf("%+v: the pages are %v, want %v", f, paged, whole)
			}
		}
		ids, cursor := pageOf(t, sch, triggerhook.Filter{}, 5)
		if err := sch.Delete(t.Context(), ids[4]); err != nil {
			t.Fatal(err)
		}
		rest, _ := pageOf(t, sch, triggerhook.Filter{After: cursor}, 1000)
		early, _ := pageOf(t, sch, triggerhook.Filter{After: cursor, DueFrom: first.Add(10 * time.Second)}, 1000)
		if len(rest) != 45 || len(early) != 10 {
			t.Errorf("after a task that is gone are %d tasks, and %d from a later time on, want 45 and 10", len(rest), len(early))
		}
	})
}

// pageOf returns the first IDs that match, at most limit, and the cursor of the last one.
func pageOf(t *testing.T, sch *triggerhook.Scheduler, f triggerhook.Filter, limit int) (ids []string, cursor string) {
	t.Helper()
	for i, err := range sch.List(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		if ids, cursor = append(ids, i.ID), i.Cursor(); len(ids) == limit {
			break
		}
	}
	return ids, cursor
}

// What is no cursor is refused, and so is a cursor where it has no meaning.
func TestAWrongCursorIsRefused(t *testing.T) {
	both := embedded(t, 1)
	sch := both.scheduler(t, triggerhook.Options{})
	create(t, sch, &triggerhook.Task{ID: "a", Due: time.Now().Add(time.Hour)})
	bury(t, both, sch, triggerhook.Task{ID: "a2"}, triggerhook.ReasonExpired, time.Now())
	letter := firstLetter(t, sch)
	for _, after := range []string{"x", "!", "AAAA", strings.Repeat("A", 24), "dA" + strings.Repeat("A", 22), "dP" + strings.Repeat("_", 20) + "9h", strings.Repeat("dA", 400), letter.Cursor()} {
		for _, err := range sch.List(t.Context(), triggerhook.Filter{After: after}) {
			if !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), "Filter.After") {
				t.Errorf("List after %q: %v, want ErrInvalid that names the field", after, err)
			}
		}
	}
	i, err := sch.Get(t.Context(), "a")
	if err != nil || i.Cursor() == "" || (triggerhook.Info{}).Cursor() != "" {
		t.Fatalf("cursors are %q and %q, %v", i.Cursor(), (triggerhook.Info{}).Cursor(), err)
	}
	f := triggerhook.Filter{IDPrefix: "a", After: i.Cursor()}
	_, deleting := sch.DeleteWhere(t.Context(), f, triggerhook.WhereOptions{})
	_, moving := sch.RescheduleWhere(t.Context(), f, triggerhook.Shift{By: time.Hour}, triggerhook.WhereOptions{})
	dead := triggerhook.DeadFilter{IDPrefix: "a", After: letter.Cursor()}
	_, requeueing := sch.RequeueDead(t.Context(), dead, triggerhook.RequeueOptions{})
	_, purging := sch.PurgeDead(t.Context(), dead)
	for call, err := range map[string]error{"DeleteWhere": deleting, "RescheduleWhere": moving, "RequeueDead": requeueing, "PurgeDead": purging} {
		if !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), "Filter.After") {
			t.Errorf("%s after a cursor: %v, want ErrInvalid that names the field", call, err)
		}
	}
	for _, err := range sch.ListDead(t.Context(), triggerhook.DeadFilter{After: i.Cursor()}) {
		if !errors.Is(err, triggerhook.ErrInvalid) {
			t.Errorf("ListDead after the cursor of a task: %v, want ErrInvalid", err)
		}
	}
	if firstLetter(t, sch).Cursor() != letter.Cursor() || (triggerhook.DeadTask{}).Cursor() != "" {
		t.Error("the dead letter is gone, or has another cursor")
	}
}

func firstLetter(t *testing.T, sch *triggerhook.Scheduler) triggerhook.DeadTask {
	t.Helper()
	for d, err := range sch.ListDead(t.Context(), triggerhook.DeadFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	t.Fatal("there is no dead letter")
	return triggerhook.DeadTask{}
}

// The same of dead letters, of which several have one ID and one time.
func TestAListOfDeadLettersGoesOnAfterACursor(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{})
		died := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
		for i := range 24 {
			bury(t, s, sch, triggerhook.Task{ID: fmt.Sprintf("%c/%d", "ab"[i%2], i/6)}, triggerhook.ReasonExpired, died.Add(time.Duration(i/8)*time.Second))
		}
		for _, f := range []triggerhook.DeadFilter{{}, {IDPrefix: "a/"}, {DeadFrom: died.Add(time.Second)}, {IDPrefix: "b/", DeadBefore: died.Add(2 * time.Second)}} {
			whole, paged := lettersOf(t, sch, f, 1000), []string(nil)
			for {
				some := lettersOf(t, sch, f, 5)
				if paged = append(paged, some...); len(some) == 0 {
					break
				}
				f.After = some[len(some)-1]
			}
			if !slices.Equal(paged, whole) || len(whole) < 6 {
				t.Errorf("%+v: the pages have %d dead letters, want the %d of the list in its order", f, len(paged), len(whole))
			}
		}
	})
}

// lettersOf returns the cursors of the first dead letters that match, at most limit. Each dead letter has one of its own.
func lettersOf(t *testing.T, sch *triggerhook.Scheduler, f triggerhook.DeadFilter, limit int) (cursors []string) {
	t.Helper()
	for d, err := range sch.ListDead(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		if cursors = append(cursors, d.Cursor()); len(cursors) == limit {
			break
		}
	}
	return cursors
}
