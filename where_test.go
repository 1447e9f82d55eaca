package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// many creates n tasks of a prefix, a second apart from a time on; each third has the header third.
func many(t *testing.T, s *triggerhook.Scheduler, prefix string, n int, from time.Time) {
	t.Helper()
	var all []*triggerhook.Task
	for i := range n {
		one := &triggerhook.Task{ID: fmt.Sprintf("%s%04d", prefix, i), Due: from.Add(time.Duration(i) * time.Second), Payload: []byte(prefix)}
		if i%3 == 0 {
			one.Headers = map[string]string{"third": "yes"}
		}
		all = append(all, one)
	}
	create(t, s, all...)
}

func TestDeleteWhereDeletesWhatMatches(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{})
		from := time.Now().Add(time.Hour).Truncate(time.Second)
		many(t, sch, "c-42/", 1200, from)
		many(t, sch, "c-7/", 30, from)
		var progress []int
		o := triggerhook.WhereOptions{Progress: func(done int) { progress = append(progress, done) }}
		dry := o
		dry.DryRun = true
		f := triggerhook.Filter{IDPrefix: "c-42/"}
		if r, err := sch.DeleteWhere(t.Context(), f, dry); err != nil || r != (triggerhook.WhereResult{Matched: 1200}) || len(listed(t, sch, f)) != 1200 {
			t.Errorf("a dry run answered %+v, %v, want 1200 matched and none deleted", r, err)
		}
		progress = nil
		third := triggerhook.Filter{Headers: map[string]string{"third": "yes"}, DueBefore: from.Add(9 * time.Second)}
		if r, err := sch.DeleteWhere(t.Context(), third, o); err != nil || r != (triggerhook.WhereResult{Matched: 6, Changed: 6}) {
			t.Errorf("DeleteWhere by header and time answered %+v, %v; want 6 deleted", r, err)
		}
		if r, err := sch.DeleteWhere(t.Context(), f, o); err != nil || r != (triggerhook.WhereResult{Matched: 1197, Changed: 1197}) {
			t.Errorf("DeleteWhere by prefix answered %+v, %v; want 1197 deleted", r, err)
		}
		if got := listed(t, sch, triggerhook.Filter{}); len(got) != 27 || !strings.HasPrefix(got[0], "c-7/") {
			t.Errorf("%d tasks are left, the first is %q; want the other 27", len(got), got[0])
		}
		if len(progress) < 3 || !slices.IsSorted(progress[1:]) || progress[len(progress)-1] != 1197 {
			t.Errorf("Progress was told %v, want how many are deleted after each page", progress)
		}
	})
}

func TestDeleteWhereCountsWhatIsClaimed(t *testing.T) {
	sch := embedded(t, 2).scheduler(t, triggerhook.Options{})
	stop := run(t, sch)
	defer stop()
	create(t, sch, &triggerhook.Task{ID: "c/a", Due: time.Now()}, &triggerhook.Task{ID: "c/b", Due: time.Now().Add(time.Hour)})
	d := next(t, sch)
	r, err := sch.DeleteWhere(t.Context(), triggerhook.Filter{IDPrefix: "c/"}, triggerhook.WhereOptions{})
	if err != nil || r != (triggerhook.WhereResult{Matched: 2, Changed: 2, Claimed: 1}) {
		t.Errorf("DeleteWhere answered %+v, %v; want both deleted, and one claimed", r, err)
	}
	if err := d.Confirm(t.Context()); !errors.Is(err, triggerhook.ErrGone) {
		t.Errorf("Confirm of a deleted task: %v", err)
	}
}

// Each task is moved once, in whatever direction, also where it lands among those that match.
func TestRescheduleWhereMovesEachTaskOnce(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{})
		from := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
		many(t, sch, "c-42/", 150, from)
		all, opts := triggerhook.Filter{DueFrom: from.Add(-time.Hour)}, triggerhook.WhereOptions{}
		check := func(what string, want func(i int) time.Time) {
			t.Helper()
			n := 0
			for info, err := range sch.List(t.Context(), triggerhook.Filter{IDPrefix: "c-42/"}) {
				if err != nil || !info.Due.Equal(want(n)) || !info.Next.Equal(info.Due) || string(info.Payload) != "c-42/" {
					t.Fatalf("%s: %q is due at %s, %v; want %s", what, info.ID, info.Due, err, want(n))
				}
				n++
			}
			if n != 150 {
				t.Errorf("%s: %d tasks", what, n)
			}
		}
		move := func(what string, f triggerhook.Filter, to triggerhook.Shift, matched int) {
			t.Helper()
			if r, err := sch.RescheduleWhere(t.Context(), f, to, opts); err != nil || r != (triggerhook.WhereResult{Matched: matched, Changed: matched}) {
				t.Errorf("%s: RescheduleWhere answered %+v, %v; want %d moved", what, r, err, matched)
			}
		}
		at := func(by time.Duration) func(int) time.Time {
			return func(i int) time.Time { return from.Add(by + time.Duration(i)*time.Second) }
		}
		move("later", all, triggerhook.Shift{By: 100 * time.Second}, 150)
		check("later", at(100*time.Second))
		move("earlier", all, triggerhook.Shift{By: -100 * time.Second}, 150)
		check("earlier", at(0))
		move("by prefix", triggerhook.Filter{IDPrefix: "c-42/", DueBefore: from.Add(time.Hour)}, triggerhook.Shift{By: time.Second}, 150)
		check("by prefix", at(time.Second))
		opts.DryRun = true
		if r, err := sch.RescheduleWhere(t.Context(), all, triggerhook.Shift{To: from}, opts); err != nil || r.Matched != 150 || r.Changed != 0 {
			t.Errorf("a dry run answered %+v, %v", r, err)
		}
		check("a dry run", at(time.Second))
		opts.DryRun = false
		move("to a time among them", all, triggerhook.Shift{To: from.Add(75 * time.Second)}, 149)
		check("to a time among them", func(int) time.Time { return from.Add(75 * time.Second) })
		move("to the same time", all, triggerhook.Shift{To: from.Add(75 * time.Second)}, 0)
	})
}

func TestWhereRefusesWhatItCannotMean(t *testing.T) {
	sch := embedded(t, 1).scheduler(t, triggerhook.Options{})
	many(t, sch, "c/", 3, time.Now().Add(time.Hour))
	some, none := triggerhook.Filter{IDPrefix: "c/"}, triggerhook.WhereOptions{}
	for names, c := range map[string]struct {
		f  triggerhook.Filter
		to triggerhook.Shift
	}{
		"All":             {triggerhook.Filter{}, triggerhook.Shift{By: time.Hour}},
		"NUL":             {triggerhook.Filter{IDPrefix: "\x00"}, triggerhook.Shift{By: time.Hour}},
		"By is 0s":        {some, triggerhook.Shift{}},
		"By is 1h":        {some, triggerhook.Shift{By: time.Hour, To: time.Now()}},
		"milliseconds":    {some, triggerhook.Shift{By: time.Microsecond}},
		"before 1970":     {some, triggerhook.Shift{To: time.Unix(-9, 0)}},
		"would be due":    {some, triggerhook.Shift{By: -100 * 365 * 24 * time.Hour}},
		"beyond year 999": {some, triggerhook.Shift{To: time.UnixMilli(task.MaxDue + 1)}},
	} {
		if r, err := sch.RescheduleWhere(t.Context(), c.f, c.to, none); !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), names) || r.Changed > 0 {
			t.Errorf("RescheduleWhere of %+v by %+v: %+v, %v; want ErrInvalid that names %q", c.f, c.to, r, err, names)
		}
	}
	if r, err := sch.DeleteWhere(t.Context(), triggerhook.Filter{}, none); !errors.Is(err, triggerhook.ErrInvalid) || r != (triggerhook.WhereResult{}) {
		t.Errorf("DeleteWhere of the zero Filter: %+v, %v", r, err)
	}
	if r, err := sch.DeleteWhere(t.Context(), triggerhook.Filter{}, triggerhook.WhereOptions{All: true}); err != nil || r.Changed != 3 {
		t.Errorf("DeleteWhere of all tasks, which is allowed: %+v, %v", r, err)
	}
}

// interfering calls a function once before it moves a row, or reads a page.
type interfering struct {
	durable.Store
	before func()
}

func (i *interfering) act() {
	if before := i.before; before != nil {
		i.before = nil
		before()
	}
}

func (i *interfering) MoveMany(ctx context.Context, moves []task.Move) ([]bool, error) {
	i.act()
	return i.Store.MoveMany(ctx, moves)
}

// A task that changes after its page was read is moved from where it is then, or not at all if it does not match any more.
func TestRescheduleWhereMeetsChanges(t *testing.T) {
	s := embedded(t, 1)
	store := &interfering{Store: s.store}
	s.store = store
	sch := s.scheduler(t, triggerhook.Options{})
	due := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	f := triggerhook.Filter{IDPrefix: "a", DueBefore: due.Add(time.Minute), Headers: map[string]string{"h": "v"}}
	for what, c := range map[string]struct {
		change triggerhook.Change
		want   time.Duration
		moved  int
	}{
		"moved":              {triggerhook.Change{Due: due.Add(30 * time.Second)}, 90 * time.Second, 1},
		"moved out of reach": {triggerhook.Change{Due: due.Add(2 * time.Minute)}, 2 * time.Minute, 0},
		"other headers":      {triggerhook.Change{Headers: map[string]string{"h": "w"}}, 0, 0},
	} {
		create(t, sch, &triggerhook.Task{ID: "a", Due: due, Headers: map[string]string{"h": "v"}})
		store.before = func() {
			if err := sch.Update(t.Context(), "a", c.change); err != nil {
				t.Error(err)
			}
		}
		r, err := sch.RescheduleWhere(t.Context(), f, triggerhook.Shift{By: time.Minute}, triggerhook.WhereOptions{})
		info, got := sch.Get(t.Context(), "a")
		if err != nil || got != nil || r.Matched != 1 || r.Changed != c.moved || !info.Due.Equal(due.Add(c.want)) {
			t.Errorf("%s meanwhile: %+v, %v, and it is due at %s, %v; want %d moved, and due at %s", what, r, err, info.Due, got, c.moved, due.Add(c.want))
		}
		if err := sch.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
}

// Once the context has ended, or a task cannot be moved, no further one is.
func TestWhereEndsWithItsContext(t *testing.T) {
	sch := embedded(t, 1).scheduler(t, triggerhook.Options{})
	many(t, sch, "c/", 400, time.Now().Add(time.Hour))
	for name, act := range map[string]func(context.Context, triggerhook.WhereOptions) (triggerhook.WhereResult, error){
		"RescheduleWhere": func(ctx context.Context, o triggerhook.WhereOptions) (triggerhook.WhereResult, error) {
			return sch.RescheduleWhere(ctx, triggerhook.Filter{IDPrefix: "c/"}, triggerhook.Shift{By: time.Second}, o)
		},
		"DeleteWhere": func(ctx context.Context, o triggerhook.WhereOptions) (triggerhook.WhereResult, error) {
			return sch.DeleteWhere(ctx, triggerhook.Filter{IDPrefix: "c/"}, o)
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := act(ctx, triggerhook.WhereOptions{Progress: func(int) { cancel() }})
		if !errors.Is(err, context.Canceled) || r.Changed != 64 || r.Matched != 64 {
			t.Errorf("%s whose context ended after the first page answered %+v, %v; want 64 changed, and context canceled", name, r, err)
		}
	}
	if got := listed(t, sch, triggerhook.Filter{IDPrefix: "c/"}); len(got) != 336 {
		t.Errorf("%d tasks are left, want 336", len(got))
	}
}

// A task whose new time breaks a rule stays, is counted, and holds up no other.
func TestRescheduleWhereLeavesWhatMayNotMove(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{})
		start := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
		for i := range 6 {
			x := &triggerhook.Task{ID: fmt.Sprint("x/", i), Due: start.Add(time.Duration(i) * time.Minute)}
			if i%3 == 1 {
				x.Expires = x.Due.Add(time.Minute)
			}
			create(t, sch, x)
		}
		f, by := triggerhook.Filter{IDPrefix: "x/"}, triggerhook.Shift{By: time.Hour}
		if r, err := sch.RescheduleWhere(t.Context(), f, by, triggerhook.WhereOptions{DryRun: true}); err != nil || r != (triggerhook.WhereResult{Matched: 6, Refused: 2}) {
			t.Errorf("dry run: %+v, %v; want 6 matched, and 2 of them refused", r, err)
		}
		r, err := sch.RescheduleWhere(t.Context(), f, by, triggerhook.WhereOptions{})
		if !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), "expires") || r != (triggerhook.WhereResult{Matched: 6, Changed: 4, Refused: 2}) {
			t.Errorf("%+v, %v; want 4 moved, and an ErrInvalid that names the Expires of one", r, err)
		}
		for i := range 6 {
			want := start.Add(time.Duration(i)*time.Minute + time.Hour)
			if i%3 == 1 {
				want = want.Add(-time.Hour)
			}
			if info, err := sch.Get(t.Context(), fmt.Sprint("x/", i)); err != nil || !info.Due.Equal(want) {
				t.Errorf("task %d is due at %s, %v; want %s", i, info.Due, err, want)
			}
		}
	})
}

// A dry run counts what matches where the rows are, a bounded number of them in each call of the store.
func TestADryRunCountsAllPages(t *testing.T) {
	s := embedded(t, 1)
	calls := &calls{}
	s.store = notedStore{s.store, calls}
	sch := s.scheduler(t, triggerhook.Options{})
	from := time.Now().Add(time.Hour).Truncate(time.Second)
	for range 41 {
		many(t, sch, fmt.Sprintf("c/%d/", time.Now().UnixNano()), 1000, from)
	}
	var progress []int
	o := triggerhook.WhereOptions{DryRun: true, Progress: func(done int) { progress = append(progress, done) }}
	for _, f := range []triggerhook.Filter{{IDPrefix: "c/"}, {DueFrom: from}, {IDPrefix: "c/", DueBefore: from.Add(time.Hour)}} {
		progress = nil
		calls.take()
		if r, err := sch.DeleteWhere(t.Context(), f, o); err != nil || r != (triggerhook.WhereResult{Matched: 41_000}) || !slices.Equal(progress, []int{20_000, 40_000, 41_000}) {
			t.Errorf("a dry run of %+v answered %+v, %v, and told %v; want 41000, in steps of 20000", f, r, err, progress)
		}
		if got := calls.take(); fmt.Sprint(got) != "[CountPage CountPage CountPage]" {
			t.Errorf("a dry run of %+v called %v, want CountPage alone", f, got)
		}
	}
}
