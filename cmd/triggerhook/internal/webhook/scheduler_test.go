package webhook

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/retrypolicy"
)

// newScheduler returns a Scheduler on the embedded pair whose tasks s sends until the test ends.
func newScheduler(t *testing.T, s *Sender, o triggerhook.Options) *triggerhook.Scheduler {
	store := must(bolt.Open(filepath.Join(t.TempDir(), "tasks.bolt"), bolt.Options{}))(t)
	scheduler := must(triggerhook.New(store, must(local.New(local.Options{}))(t), o))(t)
	if err := scheduler.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := scheduler.Handle(ctx, 16, s.Handle); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return scheduler
}

// eventually fails the test if a condition does not hold within a minute.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	end, tick := time.NewTimer(time.Minute), time.NewTicker(10*time.Millisecond)
	defer end.Stop()
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("after a minute it still does not hold that %s", what)
		}
	}
}

// The outcomes end to end: what becomes of tasks of a Scheduler whose receiver answers in each way.
func TestOutcomesEndToEnd(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	r := newReceiver(t, func(w http.ResponseWriter, q *http.Request) {
		mu.Lock()
		seen[q.URL.Path]++
		n := seen[q.URL.Path]
		mu.Unlock()
		switch {
		case q.URL.Path == "/gone":
			w.WriteHeader(http.StatusGone)
		case q.URL.Path == "/busy" && n == 1:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		case q.URL.Path == "/moved":
			http.Redirect(w, q, "/elsewhere", http.StatusPermanentRedirect)
		case q.URL.Path == "/broken":
			http.Error(w, "out of paper", http.StatusInternalServerError)
		}
	})
	key := secret()
	sender := newSender(t, Options{AllowPrivate: true, Secrets: []string{key}})
	s := newScheduler(t, sender, triggerhook.Options{MaxAttempts: 2, Retry: retrypolicy.Constant(20 * time.Millisecond), History: triggerhook.History{Retention: time.Hour}})
	for _, path := range []string{"/ok", "/gone", "/busy", "/moved", "/broken"} {
		if err := s.Create(t.Context(), &triggerhook.Task{ID: path, Due: time.Now(), Payload: []byte(path), Headers: map[string]string{HeaderURL: r.URL + path}}); err != nil {
			t.Fatal(err)
		}
	}
	dead := map[string]triggerhook.DeadTask{}
	eventually(t, "three tasks are dead and two are done", func() bool {
		for d, err := range s.ListDead(t.Context(), triggerhook.DeadFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			dead[d.ID] = d
		}
		return len(dead) == 3 && ended(t, s, "/ok") == triggerhook.EndConfirmed && ended(t, s, "/busy") == triggerhook.EndConfirmed
	})
	for id, want := range map[string]struct {
		reason, text string
		attempts     int
	}{
		"/gone":   {triggerhook.ReasonDiscarded, "410 Gone", 1},
		"/moved":  {triggerhook.ReasonAttempts, "redirects are never followed", 2},
		"/broken": {triggerhook.ReasonAttempts, "out of paper", 2},
	} {
		if d := dead[id]; !strings.HasPrefix(d.Reason, want.reason) || !strings.Contains(d.LastError, want.text) || d.Attempts != want.attempts {
			t.Errorf("%s: %q after %d attempts, with %q; want %q, %d and %q", id, d.Reason, d.Attempts, d.LastError, want.reason, want.attempts, want.text)
		}
	}
	attempts := map[string][]received{}
	for _, q := range r.requests() {
		attempts[q.path] = append(attempts[q.path], q)
		if err := verifier(t, key).Verify(q.body, q.header); err != nil || string(q.body) != q.path {
			t.Errorf("%s: %v, with the body %q", q.path, err, q.body)
		}
	}
	if attempts["/elsewhere"] != nil {
		t.Error("a redirect was followed")
	}
	busy := attempts["/busy"]
	if len(busy) != 2 || busy[0].header.Get(HeaderID) != busy[1].header.Get(HeaderID) || busy[0].header.Get(HeaderAttempt)+busy[1].header.Get(HeaderAttempt) != "12" ||
		busy[0].header.Get(HeaderDue) != busy[1].header.Get(HeaderDue) || busy[1].at.Sub(busy[0].at) < time.Second {
		t.Errorf("%d attempts of /busy, want 2 of one id and due time, the second at least a second later: %+v", len(busy), busy)
	}
	if len(attempts["/ok"]) != 1 || attempts["/ok"][0].header.Get(HeaderID) == busy[0].header.Get(HeaderID) {
		t.Error("two tasks have one id, or /ok was sent twice")
	}
}

// ended is how a task ended, 0 if it did not.
func ended(t *testing.T, s *triggerhook.Scheduler, id string) triggerhook.EndKind {
	t.Helper()
	for _, e := range must(s.History(t.Context(), id))(t) {
		return e.How
	}
	return 0
}

// A receiver that never answers in time uses up the attempts, and the dead letter says why.
func TestASlowReceiverMakesADeadLetter(t *testing.T) {
	r := newReceiver(t, func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
	s := newScheduler(t, newSender(t, Options{AllowPrivate: true, Timeout: 100 * time.Millisecond}), triggerhook.Options{MaxAttempts: 2, Retry: retrypolicy.Constant(20 * time.Millisecond)})
	if err := s.Create(t.Context(), &triggerhook.Task{ID: "slow", Due: time.Now(), Headers: map[string]string{HeaderURL: r.URL}}); err != nil {
		t.Fatal(err)
	}
	var dead triggerhook.DeadTask
	eventually(t, "the task is dead", func() bool {
		for d, err := range s.ListDead(t.Context(), triggerhook.DeadFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			dead = d
		}
		return dead.ID == "slow"
	})
	if dead.Reason != triggerhook.ReasonAttempts || !strings.Contains(dead.LastError, "no response within 100ms") || dead.Attempts != 2 {
		t.Errorf("%q after %d attempts, with %q", dead.Reason, dead.Attempts, dead.LastError)
	}
}

// A host that is away for a while: its circuit opens, tasks are postponed without losing attempts, and all of them arrive when it is back.
func TestAHostThatIsAwayCostsNoAttempts(t *testing.T) {
	var mu sync.Mutex
	away := true
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if away {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	sender := newSender(t, Options{AllowPrivate: true, BreakerRequests: 5, BreakerOpen: 300 * time.Millisecond, PerHost: 8})
	// Each of these may fail once before the circuit opens, and 3 more each time that it is tried.
	s := newScheduler(t, sender, triggerhook.Options{MaxAttempts: 100, Retry: retrypolicy.Constant(10 * time.Millisecond)})
	const n = 60
	for range n {
		if err := s.Create(t.Context(), &triggerhook.Task{Due: time.Now(), Headers: map[string]string{HeaderURL: r.URL}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the circuit has postponed 2 tasks for each one", func() bool { return counted(t, sender, outcomeOpen) > 2*n })
	failed := counted(t, sender, outcomeFailed)
	if failed > counted(t, sender, outcomeOpen) {
		t.Errorf("%d requests failed, more than were postponed", failed)
	}
	mu.Lock()
	away = false
	mu.Unlock()
	eventually(t, "all tasks are confirmed", func() bool { return counted(t, sender, outcomeConfirmed) == n })
	attempts := 0
	for _, q := range r.requests() {
		if q.header.Get(HeaderAttempt) != "1" {
			attempts++
		}
	}
	if most := counted(t, sender, outcomeFailed); attempts > most {
		t.Errorf("%d further attempts, want at most one for each of %d failures: a postponed task counts none", attempts, most)
	}
}
