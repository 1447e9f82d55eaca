package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/task"
)

// deadTasks lists what f matches.
func deadTasks(t *testing.T, sch *triggerhook.Scheduler, f triggerhook.DeadFilter) (all []triggerhook.DeadTask) {
	t.Helper()
	for d, err := range sch.ListDead(t.Context(), f) {
		if err != nil {
			t.Fatalf("ListDead of %+v: %v", f, err)
		}
		all = append(all, d)
	}
	return all
}

// handledFor has a handler run for that long, and returns the IDs that it got. It fails for what came after it had expired.
func handledFor(t *testing.T, sch *triggerhook.Scheduler, d time.Duration, concurrency int, h func(n int, d *triggerhook.Delivery) error) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var mu sync.Mutex
	var ids []string
	err := sch.Handle(ctx, concurrency, func(_ context.Context, d *triggerhook.Delivery) error {
		mu.Lock()
		ids = append(ids, d.ID)
		n := len(ids)
		mu.Unlock()
		if !d.Expires.IsZero() && time.Now().Truncate(time.Millisecond).After(d.Expires) {
			t.Errorf("%s, which expires at %s, was delivered at %s", d.ID, d.Expires, time.Now())
		}
		return h(n, d)
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	return ids
}

func confirms(int, *triggerhook.Delivery) error { return nil }

// A task that was not delivered in time becomes a dead letter, whole, wherever its payload is; others are delivered.
func TestWhatHasExpiredIsDeadInPlaceOfDelivered(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		var told []string // by the hook, of one process; Handle has ended when it is read
		var mu sync.Mutex
		sch := s.scheduler(t, triggerhook.Options{Hooks: hook.Hooks{Dead: func(e hook.Dead) {
			mu.Lock()
			defer mu.Unlock()
			for _, d := range e.Tasks {
				told = append(told, fmt.Sprint(d.ID, " ", d.Reason, d.LastError, " ", d.Attempt))
			}
		}}})
		due := time.Now().Add(time.Second)
		long := []byte(strings.Repeat("x", 5000))
		tasks := []*triggerhook.Task{
			{ID: "short", Due: due, Expires: due.Add(time.Second), Payload: []byte("p"), Headers: map[string]string{"k": "v"}},
			{ID: "long", Due: due, Expires: due.Add(time.Second), Payload: long},
			{ID: "late", Due: due, Expires: due.Add(time.Hour)}, {ID: "never", Due: due},
		}
		if err := sch.Create(t.Context(), tasks...); err != nil {
			t.Fatal(err)
		}
		sleep(t, 5*time.Second) // nothing runs
		if got := handledFor(t, sch, 10*time.Second, 4, confirms); !slices.Equal(got, []string{"late", "never"}) {
			t.Errorf("delivered were %q, want late and never", got)
		}
		if slices.Sort(told); !slices.Equal(told, []string{"long expired 1", "short expired 1"}) {
			t.Errorf("the hook was told %q", told)
		}
		dead := deadTasks(t, sch, triggerhook.DeadFilter{})
		if len(dead) != 2 {
			t.Fatalf("%d tasks are dead, want 2: %+v", len(dead), dead)
		}
		for _, d := range dead {
			was := tasks[slices.IndexFunc(tasks, func(o *triggerhook.Task) bool { return o.ID == d.ID })]
			if d.Reason != triggerhook.ReasonExpired || d.LastError != "" || d.Attempts != 0 || !d.Died.After(d.Expires) || !d.Expires.Equal(was.Expires) ||
				!d.Due.Equal(was.Due) || string(d.Payload) != string(was.Payload) || fmt.Sprint(d.Headers) != fmt.Sprint(was.Headers) {
				t.Errorf("the dead letter is %.300v, of the task %.300v", d, was)
			}
		}
		if _, err := sch.Get(t.Context(), "short"); !errors.Is(err, triggerhook.ErrNotFound) {
			t.Errorf("Get of what is dead: %v, want ErrNotFound", err)
		}
		st, err := sch.Stats(t.Context())
		if err != nil || st.Process.Expired != 2 || st.Namespace.Dead != 2 || st.Namespace.DeadEstimated || st.Namespace.Tasks != 0 || st.Namespace.InFlight != 0 || st.Namespace.Preloaded != 0 {
			t.Errorf("Stats: %+v, %v; want 2 expired, 2 dead, and nothing else", st, err)
		}
	})
}

// A task that expires while it waits in this process, behind a handler that is slow, is not handed out.
func TestWhatExpiresInTheQueueIsNotHandedOut(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		due := time.Now().Add(5 * time.Second)
		for i := range 40 {
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: fmt.Sprintf("%02d", i), Due: due, Expires: due.Add(300 * time.Millisecond)}); err != nil {
				t.Fatal(err)
			}
		}
		got := handledFor(t, sch, 20*time.Second, 1, func(n int, _ *triggerhook.Delivery) error {
			if n == 10 {
				sleep(t, 500*time.Millisecond)
			}
			return nil
		})
		if n := len(deadTasks(t, sch, triggerhook.DeadFilter{Reason: triggerhook.ReasonExpired})); n+len(got) != 40 || n < 10 {
			t.Errorf("%d were delivered and %d are dead, want 40 together, and 10 dead at least", len(got), n)
		}
	})
}

// A task that failed is not offered again once it has expired, however far ahead it was rolled back.
func TestWhatExpiresBetweenAttemptsIsDead(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		now := time.Now()
		for id, delay := range map[string]time.Duration{"near": 10 * time.Second, "far": 10 * time.Minute} {
			if err := sch.Create(t.Context(), &triggerhook.Task{ID: id, Due: now, Expires: now.Add(delay - time.Second), Payload: []byte(id)}); err != nil {
				t.Fatal(err)
			}
		}
		got := handledFor(t, sch, 15*time.Minute, 2, func(_ int, d *triggerhook.Delivery) error {
			delay := 10 * time.Second
			if d.ID == "far" {
				delay = 10 * time.Minute
			}
			return d.Rollback(t.Context(), delay)
		})
		if !slices.Equal(got, []string{"far", "near"}) {
			t.Errorf("delivered were %q, want each once", got)
		}
		for _, d := range deadTasks(t, sch, triggerhook.DeadFilter{}) {
			if d.Attempts != 1 || d.Reason != triggerhook.ReasonExpired || string(d.Payload) != d.ID {
				t.Errorf("the dead letter is %+v", d)
			}
		}
		if n := len(deadTasks(t, sch, triggerhook.DeadFilter{})); n != 2 {
			t.Errorf("%d tasks are dead, want 2", n)
		}
	})
}

// bury makes a dead letter of a task that is due at once.
func bury(t *testing.T, s stores, sch *triggerhook.Scheduler, of triggerhook.Task, reason string, died time.Time) {
	t.Helper()
	of.Due = died
	if err := sch.Create(t.Context(), &of); err != nil {
		t.Fatal(err)
	}
	rows, err := s.store.Get(t.Context(), []string{of.ID})
	if err == nil {
		_, err = s.store.Bury(t.Context(), []task.Burial{{Ref: rows[0].Ref, Reason: reason, Attempt: 3, LastError: "why", DeadMS: died.UnixMilli()}})
	}
	if err == nil {
		_, err = s.set.Remove(t.Context(), task.Partition(of.ID, s.set.Config().Partitions), "", []task.Ref{rows[0].Ref})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Requeue makes a task of the dead letter that died last, and refuses what it cannot do.
func TestADeadLetterIsRequeued(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		now := time.Now()
		bury(t, s, sch, triggerhook.Task{ID: "a", Payload: []byte("first")}, triggerhook.ReasonAttempts, now.Add(-time.Hour))
		bury(t, s, sch, triggerhook.Task{ID: "a", Payload: []byte("last"), Headers: map[string]string{"k": "v"}}, triggerhook.ReasonExpired, now.Add(-time.Minute))
		bury(t, s, sch, triggerhook.Task{ID: "a/b"}, triggerhook.ReasonExpired, now)
		for want, err := range map[error]error{
			triggerhook.ErrInvalid:  errors.Join(sch.Requeue(t.Context(), "", now)),
			triggerhook.ErrNotFound: sch.Requeue(t.Context(), "a/", now),
		} {
			if !errors.Is(err, want) {
				t.Errorf("Requeue: %v, want %v", err, want)
			}
		}
		due := now.Add(3 * time.Second)
		if err := sch.Requeue(t.Context(), "a", due); err != nil {
			t.Fatal(err)
		}
		if err := sch.Requeue(t.Context(), "a", due); !errors.Is(err, triggerhook.ErrExists) {
			t.Errorf("Requeue beside a living task: %v, want ErrExists", err)
		}
		var came triggerhook.Delivery
		handledFor(t, sch, 10*time.Second, 1, func(_ int, d *triggerhook.Delivery) error {
			came.Task, came.Attempt = d.Task, d.Attempt
			return nil
		})
		if came.ID != "a" || string(came.Payload) != "last" || came.Headers["k"] != "v" || came.Attempt != 1 || !came.Due.Equal(due.Truncate(time.Millisecond)) {
			t.Errorf("delivered was %+v, attempt %d; want the last dead letter of a, due at %s", came.Task, came.Attempt, due)
		}
		if err := sch.Requeue(t.Context(), "a/b", time.Time{}); err != nil {
			t.Errorf("Requeue without a time: %v", err)
		}
		if info, err := sch.Get(t.Context(), "a/b"); err != nil || time.Since(info.Due).Abs() > time.Second {
			t.Errorf("it is due at %s, %v; want now", info.Due, err)
		}
		bury(t, s, sch, triggerhook.Task{ID: "a/c"}, triggerhook.ReasonExpired, now)
		if dead := deadTasks(t, sch, triggerhook.DeadFilter{IDPrefix: "a"}); len(dead) != 2 || string(dead[0].Payload) != "first" || dead[1].ID != "a/c" {
			t.Errorf("dead are %+v, want the first of a, and a/c", dead)
		}
	})
}

// RequeueDead takes all that match, spreads their due times, and leaves those whose IDs live.
func TestManyDeadLettersAreRequeuedAtARate(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		now := time.Now().Truncate(time.Millisecond)
		for i := range 250 { // more than two pages
			bury(t, s, sch, triggerhook.Task{ID: fmt.Sprintf("a%03d", i)}, triggerhook.ReasonAttempts, now.Add(time.Duration(i-1000)*time.Millisecond))
		}
		bury(t, s, sch, triggerhook.Task{ID: "other"}, triggerhook.ReasonDiscarded+": no such user", now.Add(-time.Minute))
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a007", Due: now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		first := now.Add(time.Hour)
		n, err := sch.RequeueDead(t.Context(), triggerhook.DeadFilter{Reason: triggerhook.ReasonAttempts}, triggerhook.RequeueOptions{Due: first, Rate: 2})
		if n != 249 || !errors.Is(err, triggerhook.ErrExists) || !strings.Contains(err.Error(), `"a007"`) {
			t.Errorf("RequeueDead: %d, %v; want 249, and ErrExists that names a007", n, err)
		}
		for i, want := range map[int]time.Duration{0: 0, 1: 500 * time.Millisecond, 6: 3 * time.Second, 8: 3500 * time.Millisecond, 249: 124 * time.Second} {
			info, err := sch.Get(t.Context(), fmt.Sprintf("a%03d", i))
			if err != nil || !info.Due.Equal(first.Add(want)) || info.Attempt != 1 {
				t.Errorf("task %d is due at %s, attempt %d, %v; want %s", i, info.Due, info.Attempt, err, first.Add(want))
			}
		}
		if dead := deadTasks(t, sch, triggerhook.DeadFilter{}); len(dead) != 2 || dead[0].ID != "other" || dead[1].ID != "a007" {
			t.Errorf("dead are %+v, want other and a007", dead)
		}
		if st, err := sch.Stats(t.Context()); err != nil || st.Process.Requeued != 249 || st.Namespace.Dead != 2 {
			t.Errorf("Stats: %d requeued and %d dead, %v; want 249 and 2", st.Process.Requeued, st.Namespace.Dead, err)
		}
	})
}

// What dies again while its wave is requeued stays dead.
func TestRequeueDeadEndsThoughTasksDieAgain(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		bury(t, s, sch, triggerhook.Task{ID: "a"}, triggerhook.ReasonAttempts, time.Now())
		bury(t, s, sch, triggerhook.Task{ID: "b"}, triggerhook.ReasonAttempts, time.Now().Add(time.Second)) // as one that dies later
		if n, err := sch.RequeueDead(t.Context(), triggerhook.DeadFilter{}, triggerhook.RequeueOptions{}); n != 1 || err != nil {
			t.Errorf("RequeueDead: %d, %v; want a alone", n, err)
		}
		if info, err := sch.Get(t.Context(), "a"); err != nil || info.Due.After(time.Now()) {
			t.Errorf("it is due at %s, %v; want now", info.Due, err)
		}
	})
}

// PurgeDead deletes by age.
func TestOldDeadLettersArePurged(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		now := time.Now()
		for i := range 5 {
			bury(t, s, sch, triggerhook.Task{ID: fmt.Sprint(i)}, triggerhook.ReasonAttempts, now.Add(time.Duration(i)*time.Hour))
		}
		before := func(at time.Time) triggerhook.DeadFilter { return triggerhook.DeadFilter{DeadBefore: at} }
		if n, err := sch.PurgeDead(t.Context(), before(now.Add(2*time.Hour))); n != 2 || err != nil {
			t.Errorf("PurgeDead: %d, %v; want 2", n, err)
		}
		if dead := deadTasks(t, sch, triggerhook.DeadFilter{}); len(dead) != 3 || dead[0].ID != "2" {
			t.Errorf("left are %+v", dead)
		}
		if n, err := sch.PurgeDead(t.Context(), triggerhook.DeadFilter{}); n != 0 || !errors.Is(err, triggerhook.ErrInvalid) {
			t.Errorf("PurgeDead of the zero filter: %d, %v, want ErrInvalid", n, err)
		}
		for i := range 250 {
			bury(t, s, sch, triggerhook.Task{ID: fmt.Sprint("of-one/", i)}, triggerhook.ReasonExpired, now)
		}
		if n, err := sch.PurgeDead(t.Context(), triggerhook.DeadFilter{IDPrefix: "of-one/", Reason: triggerhook.ReasonExpired}); n != 250 || err != nil {
			t.Errorf("PurgeDead of one prefix: %d, %v; want 250", n, err)
		}
		if dead := deadTasks(t, sch, triggerhook.DeadFilter{}); len(dead) != 3 {
			t.Errorf("left are %+v, want the 3 of other IDs", dead)
		}
	})
}

// Each rule for dead letters and expiries is an ErrInvalid that names the value and the rule.
func TestBadInputAboutTheDeadIsRefused(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		list := func(f triggerhook.DeadFilter) error {
			for _, err := range sch.ListDead(t.Context(), f) {
				return err
			}
			return nil
		}
		requeue := func(f triggerhook.DeadFilter, o triggerhook.RequeueOptions) error {
			_, err := sch.RequeueDead(t.Context(), f, o)
			return err
		}
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: "ends", Due: at, Expires: at}); err != nil {
			t.Fatal(err)
		}
		for want, err := range map[string]error{
			"expires 2029-12-31T23:59:59.999Z lies before due 2030-01-01T00:00:00Z":                sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: at, Expires: at.Add(-time.Millisecond)}),
			"expires 10000-01-01T00:00:00Z lies beyond year 9999":                                  sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: at, Expires: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}),
			`due 2030-01-01T00:00:00.001Z is later than task "ends" expires, 2030-01-01T00:00:00Z`: sch.Reschedule(t.Context(), "ends", at.Add(1)),
			"DeadFilter.IDPrefix \"x\\xff\" is not valid UTF-8":                                    list(triggerhook.DeadFilter{IDPrefix: "x\xff"}),
			"DeadFilter.IDPrefix \"\\x00\" contains NUL":                                           list(triggerhook.DeadFilter{IDPrefix: "\x00"}),
			"is 129 bytes long, an ID has at most 128":                                             list(triggerhook.DeadFilter{IDPrefix: strings.Repeat("x", 129)}),
			"is 256 bytes long, at most 255":                                                       list(triggerhook.DeadFilter{Reason: strings.Repeat("x", 256)}),
			"DeadFilter.DeadFrom: invalid: due 1969":                                               list(triggerhook.DeadFilter{DeadFrom: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)}),
			"is not before DeadFilter.DeadBefore 2030-01-01T00:00:00Z":                             list(triggerhook.DeadFilter{DeadFrom: at, DeadBefore: at}),
			"is not before DeadFilter.DeadBefore 1970":                                             list(triggerhook.DeadFilter{DeadBefore: time.Unix(0, 0)}),
			"RequeueOptions.Rate is -1":                                                            requeue(triggerhook.DeadFilter{}, triggerhook.RequeueOptions{Rate: -1}),
			"RequeueOptions.Rate is NaN":                                                           requeue(triggerhook.DeadFilter{}, triggerhook.RequeueOptions{Rate: math.NaN()}),
			"RequeueOptions.Due: invalid: due 1969":                                                requeue(triggerhook.DeadFilter{}, triggerhook.RequeueOptions{Due: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)}),
		} {
			if !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want ErrInvalid that says %s", err, want)
			}
		}
		if err := sch.Reschedule(t.Context(), "ends", at.Add(-time.Second)); err != nil {
			t.Errorf("Reschedule to before it expires: %v", err)
		}
		if info, err := sch.Get(t.Context(), "ends"); err != nil || !info.Expires.Equal(at) {
			t.Errorf("it expires at %s, %v; want %s", info.Expires, err, at)
		}
	})
}

func (s notedStore) Dead(ctx context.Context, f task.DeadFilter, after task.DeadCursor, limit int) (task.DeadPage, error) {
	s.note("Dead")
	return s.Store.Dead(ctx, f, after, limit)
}

// A list by reason may have to look at very many dead letters: later pages look at up to a thousand of them, in one call.
func TestARareReasonIsFoundInFewCalls(t *testing.T) {
	s, noted := embedded(t, 1), &calls{}
	s.store = notedStore{s.store, noted}
	sch := s.scheduler(t, triggerhook.Options{})
	const n = 3000
	rows, burials := make([]task.Row, n), make([]task.Burial, n)
	for i := range rows {
		rows[i] = task.Row{Ref: task.Ref{ID: fmt.Sprintf("d/%04d", i), Ver: int64(i + 1)}, NextMS: 1, DueMS: 1}
		burials[i] = task.Burial{Ref: rows[i].Ref, Reason: task.ReasonAttempts, DeadMS: int64(i + 1)}
	}
	burials[n-1].Reason = task.ReasonExpired
	for i := 0; i < n; i += 1000 {
		if err := s.store.Create(t.Context(), rows[i:i+1000]); err != nil {
			t.Fatal(err)
		}
		if _, err := s.store.Bury(t.Context(), burials[i:i+1000]); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []triggerhook.DeadFilter{{Reason: triggerhook.ReasonExpired}, {Reason: triggerhook.ReasonExpired, IDPrefix: "d/"}} {
		noted.take()
		found := deadTasks(t, sch, f)
		if got := noted.take(); len(found) != 1 || found[0].ID != "d/2999" || len(got) != 5 { // 100, 400, 1000, 1000 and 500
			t.Errorf("ListDead of %+v found %d in %d calls %v, want d/2999 in 5", f, len(found), len(got), got)
		}
	}
	if got := deadTasks(t, sch, triggerhook.DeadFilter{}); len(got) != n || got[n-1].ID != "d/2999" {
		t.Errorf("all dead letters are %d, want %d", len(got), n)
	}
}
