package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// deliveries notes when deliveries begin, and in which order.
type deliveries struct {
	mu          sync.Mutex
	at          []time.Time
	ids         []string
	inHand, top int // tasks in hand, and the most that there were
}

// handler takes that long for each task.
func (l *deliveries) handler(takes time.Duration) triggerhook.Handler {
	note := func(d *triggerhook.Delivery, by int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if by > 0 {
			l.at, l.ids = append(l.at, time.Now()), append(l.ids, d.ID)
		}
		l.inHand += by
		l.top = max(l.top, l.inHand)
	}
	return func(ctx context.Context, d *triggerhook.Delivery) error {
		note(d, 1)
		defer note(d, -1)
		select {
		case <-time.After(takes):
		case <-ctx.Done():
		}
		return nil
	}
}

// within returns how many deliveries began at from or later, and before to.
func (l *deliveries) within(from, to time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.at {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// most is how many tasks were in hand at a time.
func (l *deliveries) most() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.top
}

func (l *deliveries) len() int { return l.within(time.Time{}, time.Now().Add(time.Hour)) }

// process has a process of its own handle tasks until the test is over, or until stop is called.
func (l *deliveries) process(t *testing.T, s stores, o triggerhook.Options, handlers int, takes time.Duration) (sch *triggerhook.Scheduler, stop func()) {
	t.Helper()
	sch = s.scheduler(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sch.Handle(ctx, handlers, l.handler(takes)) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, triggerhook.ErrUnavailable) { // that it was stopped before it had begun
			t.Errorf("Handle: %v", err)
		}
	})
	t.Cleanup(stop)
	return sch, stop
}

// overdue creates n tasks, each due a millisecond after the one before, long ago.
func overdue(t *testing.T, sch *triggerhook.Scheduler, n int) {
	t.Helper()
	first := time.Now().Add(-time.Hour)
	var all []*triggerhook.Task
	for i := range n {
		all = append(all, &triggerhook.Task{ID: fmt.Sprintf("t%05d", i), Due: first.Add(time.Duration(i) * time.Millisecond)})
	}
	if err := sch.Create(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
}

func pause(t *testing.T, sch *triggerhook.Scheduler, o triggerhook.PauseOptions) (at time.Time) {
	t.Helper()
	if err := sch.Pause(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return time.Now()
}

func resume(t *testing.T, sch *triggerhook.Scheduler) {
	t.Helper()
	if err := sch.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Within 1 s after a Pause no worker begins a delivery, and none has anything in its queue; what is in hand is confirmed, and a task
// that was created meanwhile waits too. After Resume all come, each once, and the oldest first.
func TestNothingIsDeliveredInAPause(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		var l deliveries
		const n = 300
		sch := s.scheduler(t, triggerhook.Options{})
		overdue(t, sch, n)
		_, stop := l.process(t, s, triggerhook.Options{}, 2, 300*time.Millisecond)
		one, _ := l.process(t, s, triggerhook.Options{}, 2, 300*time.Millisecond)
		sleep(t, 5*time.Second)
		since := time.Now()
		at := pause(t, sch, triggerhook.PauseOptions{})
		due(t, sch, "z", 5, 0)
		sleep(t, time.Minute)
		before := l.len()
		if got := l.within(at.Add(time.Second), time.Now()); got != 0 || before == 0 || before > n/2 {
			t.Errorf("%d deliveries began later than 1 s after the pause, %d before; want none, and some", got, before)
		}
		st, err := one.Stats(t.Context())
		p := st.Namespace.Pause
		if err != nil || st.Namespace.InFlight != 0 || st.Namespace.Tasks != int64(n+5-before) || !p.Paused() || p.Since.Sub(since).Abs() > time.Second || !p.Until.IsZero() || p.Producers {
			t.Errorf("Stats in the pause: %+v, %v; want %d tasks, none in flight, and a pause since %s", st.Namespace, err, n+5-before, since)
		}
		stop()
		resume(t, sch)
		sleep(t, 2*time.Minute)
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.ids) != n+5 || len(slices.Compact(slices.Sorted(slices.Values(l.ids)))) != n+5 {
			t.Errorf("%d deliveries in all, want each of the %d tasks once", len(l.ids), n+5)
		}
		if rest := l.ids[before:]; s.set.Config().Partitions == 1 && !nearlySorted(rest) {
			t.Errorf("after the pause %v were delivered, want the oldest first", rest)
		}
		if st, err := sch.Stats(t.Context()); err != nil || st.Namespace.Pause.Paused() || st.Namespace.Tasks != 0 {
			t.Errorf("Stats after all: %+v, %v; want no pause and no task", st.Namespace, err)
		}
	})
}

// nearlySorted reports whether no ID comes more than two places after one that is greater: two goroutines take them in order.
func nearlySorted(ids []string) bool {
	for i := 3; i < len(ids); i++ {
		if ids[i] < ids[i-3] {
			return false
		}
	}
	return true
}

// A pause ends at Until by the hot set's clock, and nothing runs for that. An idle worker and one that has been restarted keep to it.
func TestAPauseEndsByItself(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		var l deliveries
		sch, stop := l.process(t, s, triggerhook.Options{}, 2, 0)
		sleep(t, 10*time.Second)
		until := time.Now().Add(50 * time.Second)
		pause(t, sch, triggerhook.PauseOptions{})
		pause(t, sch, triggerhook.PauseOptions{Until: until}) // in place of the one before
		stop()
		overdue(t, sch, 20)
		l.process(t, s, triggerhook.Options{}, 2, 0)
		sleep(t, time.Until(until)+time.Second)
		if early, all := l.within(time.Time{}, until), l.len(); early != 0 || all != 20 {
			t.Errorf("%d deliveries before the end of the pause, %d in all; want none, and 20 within a second of it", early, all)
		}
	})
}

// What cannot be meant is refused, and changes nothing.
func TestUntilOfThePastIsRefused(t *testing.T) {
	sch := embedded(t, 1).scheduler(t, triggerhook.Options{})
	if err := sch.Resume(t.Context()); err != nil {
		t.Errorf("Resume without a pause: %v, want nil", err)
	}
	for name, until := range map[string]time.Time{"past": time.Now().Add(-time.Second), "before 1970": time.Unix(-5, 0), "year 10000": time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		err := sch.Pause(t.Context(), triggerhook.PauseOptions{Until: until})
		if !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), until.UTC().Format("2006-01-02")) && !strings.Contains(err.Error(), "10000") {
			t.Errorf("Pause until the %s: %v, want ErrInvalid that names the time", name, err)
		}
	}
	if st, err := sch.Stats(t.Context()); err != nil || st.Namespace.Pause.Paused() {
		t.Errorf("Stats: %+v, %v; want no pause", st.Namespace.Pause, err)
	}
}

// Producers must not be told that they wait when the pause is over before all of them know of it.
func TestAPauseOfProducersIsLongEnoughToBeKnown(t *testing.T) {
	sch := embedded(t, 1).scheduler(t, triggerhook.Options{})
	err := sch.Pause(t.Context(), triggerhook.PauseOptions{Producers: true, Until: time.Now().Add(4 * time.Second)})
	if !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), "less than 5s ahead") {
		t.Errorf("Pause of producers for 4 s: %v, want ErrInvalid that names 5 s", err)
	}
	if err := sch.Create(t.Context(), &triggerhook.Task{ID: "a", Due: time.Now().Add(time.Hour)}); err != nil {
		t.Errorf("Create after it: %v, want nil", err)
	}
}

// Producers go on as soon as the hot set's clock has reached Until, also while a worker sleeps and nothing else asks for the time.
func TestProducersGoOnWhenUntilHasCome(t *testing.T) {
	t.Parallel()
	s := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), 1)
	set, err := hotset.NewRedis(s.redis, hotset.Options{Namespace: s.store.Namespace()}) // of another process: it knows no time that the worker's has read
	if err != nil {
		t.Fatal(err)
	}
	worker, producer := s.scheduler(t, triggerhook.Options{}), stores{store: s.store, set: set}.scheduler(t, triggerhook.Options{})
	var l deliveries
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Handle(ctx, 1, l.handler(0)) }()
	until := time.Now().Add(6 * time.Second)
	pause(t, producer, triggerhook.PauseOptions{Producers: true, Until: until})
	refused := 0
	for over := false; !over; {
		now, err := s.redis.Time(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		over = now.After(until.Add(time.Millisecond)) // Until is rounded up
		switch err := producer.Create(t.Context(), &triggerhook.Task{Due: time.Now().Add(time.Hour)}); {
		case over && err != nil:
			t.Errorf("Create after Until: %v", err)
		case errors.Is(err, triggerhook.ErrPaused):
			refused++
		case err != nil:
			t.Fatal(err)
		}
		sleep(t, 100*time.Millisecond)
	}
	if refused < 10 {
		t.Errorf("Create was refused %d times before Until", refused)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Stats of the process that has paused, or resumed, tells of it at once, and of what was in hand then.
func TestStatsKnowsThePauseOfItsProcess(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		var l deliveries
		sch, stop := l.process(t, s, triggerhook.Options{}, 1, 10*time.Second)
		sleep(t, 5*time.Second)
		tell := func() triggerhook.NamespaceStats {
			t.Helper()
			st, err := sch.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return st.Namespace
		}
		tell()
		create(t, sch, &triggerhook.Task{ID: "a", Due: time.Now()})
		sleep(t, 100*time.Millisecond)
		pause(t, sch, triggerhook.PauseOptions{})
		if st := tell(); !st.Pause.Paused() || st.InFlight != 1 {
			t.Errorf("after Pause: %+v with %d in flight, want a pause, and the task that is in hand", st.Pause, st.InFlight)
		}
		if err := sch.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := tell(); st.Pause.Paused() {
			t.Errorf("after Resume: %+v", st.Pause)
		}
		stop()
	})
}

// A worker logs a pause and how it ends, once each; one that starts when it is over logs neither.
func TestTheLogTellsOfAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := embedded(t, 1)
		log := func() (triggerhook.Options, func(string) int) {
			out := &lines{}
			return triggerhook.Options{Logger: slog.New(slog.NewTextHandler(out, nil))}, func(line string) int { return strings.Count(out.String(), line) }
		}
		var l deliveries
		first, ofFirst := log()
		sch, stop := l.process(t, s, first, 1, 0)
		sleep(t, 5*time.Second)
		pause(t, sch, triggerhook.PauseOptions{Until: time.Now().Add(20 * time.Second)})
		sleep(t, time.Minute)
		second, ofSecond := log()
		_, stop2 := l.process(t, s, second, 1, 0)
		sleep(t, time.Minute)
		for line, want := range map[string][2]int{`msg="triggerhook: paused: no task is delivered"`: {1, 0}, `msg="triggerhook: the pause is over: tasks are delivered"`: {1, 0}} {
			if got := [2]int{ofFirst(line), ofSecond(line)}; got != want {
				t.Errorf("%s: %d times, and %d times in the log of a worker that began later, want %v", line, got[0], got[1], want)
			}
		}
		stop()
		stop2()
	})
}

// With Producers nothing is created on any process once Pause has returned, and all else goes on.
func TestProducersWait(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		one, two := s.scheduler(t, triggerhook.Options{}), s.scheduler(t, triggerhook.Options{})
		stop := run(t, one)
		sleep(t, 5*time.Second)
		far := time.Now().Add(time.Hour)
		bury(t, s, one, triggerhook.Task{ID: "dead", Due: far}, "exhausted", time.Now())
		for _, sch := range []*triggerhook.Scheduler{one, two} {
			create(t, sch, &triggerhook.Task{ID: fmt.Sprintf("%p", sch), Due: far}) // so that both know the records
		}
		pause(t, one, triggerhook.PauseOptions{Producers: true, Until: time.Now().Add(time.Minute)})
		before := contents(t, s)
		for name, sch := range map[string]*triggerhook.Scheduler{"the process itself": one, "another process": two} {
			for call, err := range map[string]error{
				"Create": sch.Create(t.Context(), &triggerhook.Task{ID: "new", Due: far}),
				"Upsert": func() error {
					_, err := sch.Upsert(t.Context(), triggerhook.Replace, &triggerhook.Task{ID: "new", Due: far})
					return err
				}(),
				"Requeue": sch.Requeue(t.Context(), "dead", far),
				"RequeueDead": func() error {
					_, err := sch.RequeueDead(t.Context(), triggerhook.DeadFilter{}, triggerhook.RequeueOptions{})
					return err
				}(),
			} {
				if !errors.Is(err, triggerhook.ErrPaused) {
					t.Errorf("%s: %s answered %v, want ErrPaused", name, call, err)
				}
			}
		}
		if after := contents(t, s); after != before {
			t.Errorf("the store has changed from\n%s\nto\n%s", before, after)
		}
		id := fmt.Sprintf("%p", two)
		if err := two.Reschedule(t.Context(), id, far.Add(time.Second)); err != nil {
			t.Errorf("Reschedule in the pause: %v", err)
		}
		if err := two.Delete(t.Context(), id); err != nil {
			t.Errorf("Delete in the pause: %v", err)
		}
		sleep(t, time.Minute)
		create(t, two, &triggerhook.Task{ID: "new", Due: far})
		stop()
	})
}

// Rates and MaxInFlight hold over all time, for several processes together.
func TestLimitsHold(t *testing.T) {
	for name, c := range map[string]struct {
		o             triggerhook.Options
		takes         time.Duration
		rate          float64 // of all; 0: not limited
		inFlight      int
		enough, after int // deliveries that are made after so many seconds at least
	}{
		"a process's rate":            {o: triggerhook.Options{MaxRate: 5}, rate: 10, enough: 95, after: 10},
		"a rate below one":            {o: triggerhook.Options{MaxRate: 0.2}, rate: 0.4, enough: 4, after: 10},
		"the namespace's rate":        {o: triggerhook.Options{NamespaceRate: 20}, rate: 20, enough: 190, after: 10},
		"a slow namespace":            {o: triggerhook.Options{NamespaceRate: 0.5}, rate: 0.5, enough: 4, after: 10},
		"in flight":                   {o: triggerhook.Options{MaxInFlight: 5}, takes: time.Second, inFlight: 5, enough: 40, after: 10},
		"one for each, done at once":  {o: triggerhook.Options{MaxInFlight: 4}, inFlight: 4, enough: 300, after: 5},
		"in flight, and at that rate": {o: triggerhook.Options{MaxInFlight: 8, NamespaceRate: 10}, takes: time.Second, rate: 10, inFlight: 8, enough: 70, after: 10},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, func(t *testing.T, s stores) {
				var l deliveries
				overdue(t, s.scheduler(t, triggerhook.Options{}), 300)
				start := time.Now()
				_, stop1 := l.process(t, s, c.o, 20, c.takes)
				_, stop2 := l.process(t, s, c.o, 20, c.takes)
				sleep(t, time.Duration(c.after)*time.Second)
				if got := l.len(); got < c.enough {
					t.Errorf("%d deliveries after %d s, want at least %d", got, c.after, c.enough)
				}
				sleep(t, 5*time.Second)
				burst := max(c.rate, float64(s.set.Config().Partitions), 2) // of each partition, and each process, one at least
				for from := start; from.Before(time.Now()); from = from.Add(500 * time.Millisecond) {
					for _, d := range []time.Duration{500 * time.Millisecond, 2 * time.Second, 10 * time.Second} {
						if got := l.within(from, from.Add(d)); c.rate > 0 && float64(got) > math.Floor(c.rate*d.Seconds()+burst) {
							t.Errorf("%d deliveries within %s from %s on, want at most %v a second and %v more", got, d, from.Sub(start), c.rate, burst)
						}
					}
				}
				if most := l.most(); c.inFlight > 0 && most > c.inFlight {
					t.Errorf("%d tasks were in hand at a time, want at most %d", most, c.inFlight)
				}
				stop1()
				stop2()
			})
		})
	}
}

func TestLimitsAreChecked(t *testing.T) {
	s := embedded(t, 4)
	for _, o := range []triggerhook.Options{{MaxRate: -1}, {MaxRate: math.NaN()}, {MaxRate: math.Inf(1)}, {NamespaceRate: -0.1}, {NamespaceRate: 2e6}, {MaxInFlight: -1}, {MaxInFlight: 3}} {
		if _, err := triggerhook.New(s.store, s.set, o); !errors.Is(err, triggerhook.ErrInvalid) {
			t.Errorf("New with MaxRate %v, NamespaceRate %v, MaxInFlight %d on 4 partitions: %v, want ErrInvalid", o.MaxRate, o.NamespaceRate, o.MaxInFlight, err)
		}
	}
}

// On real servers: three workers with a backlog stop within a second, also after a loss of data and a restart of all of them.
func TestAPauseSurvivesRestartsAndALostRedis(t *testing.T) {
	t.Parallel()
	s := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), 4)
	var l deliveries
	const n = 2000
	sch := s.scheduler(t, triggerhook.Options{})
	overdue(t, sch, n)
	var stops []func()
	start := func() {
		for range 3 {
			_, stop := l.process(t, s, triggerhook.Options{}, 2, 5*time.Millisecond)
			stops = append(stops, stop)
		}
	}
	start()
	until(t, "some were delivered", 20*time.Second, func() bool { return l.len() > 50 })
	at := pause(t, sch, triggerhook.PauseOptions{})
	sleep(t, time.Second)
	paused := time.Now()
	sleep(t, time.Second)
	for _, stop := range stops {
		stop()
	}
	keys, err := s.redis.Keys(t.Context(), "{"+sch.Namespace()+":*").Result()
	if err == nil {
		err = s.redis.Del(t.Context(), keys...).Err()
	}
	if err != nil || len(keys) == 0 {
		t.Fatalf("%d keys were deleted, %v", len(keys), err)
	}
	start()
	until(t, "the hot set was rebuilt", 20*time.Second, func() bool {
		st, err := sch.Stats(t.Context())
		return err == nil && st.Namespace.Due > int64(n/2)
	})
	sleep(t, time.Second)
	if got := l.within(paused, time.Now()); got != 0 || l.len() >= n {
		t.Errorf("%d deliveries began later than a second after the pause at %s, of %d before; want none, and some before", got, at, l.len())
	}
	resume(t, sch)
	until(t, "all were delivered", 30*time.Second, func() bool { return l.len() >= n })
}
