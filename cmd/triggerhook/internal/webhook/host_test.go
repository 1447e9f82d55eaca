package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
)

// newTestHost returns a host with the defaults of all options but those.
func newTestHost(o Options) *host { return newHost("http://a:80", o.withDefaults(), func() {}) }

// OneSlotEach, through the whole sender: with 40 handlers at a time a receiver never has more than PerHost requests, and the tasks that had
// no slot are postponed, which counts no attempt.
func TestNoMoreRequestsRunThanPerHost(t *testing.T) {
	const perHost = 3
	var running, most atomic.Int64
	release := make(chan struct{})
	r := newReceiver(t, func(http.ResponseWriter, *http.Request) {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
	})
	s := newSender(t, Options{AllowPrivate: true, PerHost: perHost})
	results := make(chan error)
	for range 40 {
		go func() { results <- s.Handle(t.Context(), delivery(r.URL)) }()
	}
	for range 40 - perHost {
		if err := <-results; meaning(err) != "snoozed" {
			t.Errorf("%v, want it to be postponed", err)
		}
	}
	if n := gauge(t, s, "triggerhook_webhook_in_flight"); n != perHost {
		t.Errorf("%d in flight, want %d", n, perHost)
	}
	close(release)
	for range perHost {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if most.Load() != perHost || counted(t, s, outcomeBusy) != 40-perHost || counted(t, s, outcomeConfirmed) != perHost {
		t.Errorf("%d requests at a time, %d postponed, %d confirmed", most.Load(), counted(t, s, outcomeBusy), counted(t, s, outcomeConfirmed))
	}
	if n := gauge(t, s, "triggerhook_webhook_in_flight"); n != 0 {
		t.Errorf("%d in flight at the end, want 0", n)
	}
}

// FewWait: at most as many handlers wait for a slot as there are slots; the others are postponed at once.
func TestFewWaitForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHost(Options{PerHost: 2})
		var done [2]func(error)
		for i := range done {
			done[i], _ = h.admit(t.Context())
		}
		began := time.Now()
		var waited, at0 atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if d, later := h.admit(t.Context()); d != nil || later == nil || later.outcome != outcomeBusy {
					t.Errorf("%v, want it to be postponed", later)
				}
				if time.Since(began) == 0 {
					at0.Add(1)
				} else {
					waited.Add(1)
				}
			})
		}
		wg.Wait()
		if waited.Load() != 2 || at0.Load() != 8 || time.Since(began) != slotWait {
			t.Errorf("%d have waited, %d not; all was over after %s; want 2, 8 and %s", waited.Load(), at0.Load(), time.Since(began), slotWait)
		}
		// A slot that becomes free goes to the one that waits.
		wg.Go(func() {
			d, later := h.admit(t.Context())
			if d == nil {
				t.Fatalf("postponed: %v", later)
			}
			d(nil)
		})
		synctest.Wait()
		done[0](nil)
		wg.Wait()
		done[1](nil)
		if n := len(h.slots); n != 0 {
			t.Errorf("%d slots are taken at the end", n)
		}
	})
}

// A host that hangs, so that no request has ended since long, lets no handler wait; nor does one whose requests take long. So the tasks of
// other hosts go on.
func TestNoHandlerWaitsForASlowHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, slow := range map[string]func(h *host){
			"hangs": func(*host) { pass(time.Second) },
			"slow": func(h *host) {
				for range 100 {
					h.took(time.Second)
				}
			},
		} {
			h := newTestHost(Options{PerHost: 2})
			var done [2]func(error)
			for i := range done {
				done[i], _ = h.admit(t.Context())
			}
			slow(h)
			began := time.Now()
			for range 3 {
				d, later := h.admit(t.Context())
				if d != nil || later == nil || later.delay < leastPostpone || time.Since(began) != 0 {
					t.Errorf("%s: %+v after %s, want it to be postponed at once", name, later, time.Since(began))
				}
			}
			if first, second := h.book(leastPostpone, 0), h.book(leastPostpone, 0); second-first < 400*time.Millisecond {
				t.Errorf("%s: postponed tasks come back %s apart, want about half a second", name, second-first)
			}
			done[0](nil)
			done[1](nil)
			if d, _ := h.admit(t.Context()); d == nil { // whatever it was, free slots are used at once
				t.Errorf("%s: a free slot is not used", name)
			} else {
				d(nil)
			}
		}
	})
}

// A handler whose delivery ends while it waits for a slot leaves at once, and is not postponed.
func TestTheWaitEndsWithTheDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHost(Options{PerHost: 1})
		done, _ := h.admit(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), slotWait/2)
		defer cancel()
		if d, later := h.admit(ctx); d != nil || later != nil {
			t.Errorf("%v, want neither", later)
		}
		done(nil)
	})
}

// Postponed tasks come back one after another, at the rate that the host takes them, and within bounds.
func TestPostponedTasksComeBackOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHost(Options{PerHost: 4})
		for i := range 10 { // 100 ms a request at first, 4 at a time
			if got, want := h.book(leastPostpone, 0), leastPostpone+time.Duration(i)*25*time.Millisecond; got != want {
				t.Errorf("task %d comes back after %s, want %s", i, got, want)
			}
		}
		for range 100_000 {
			if d := h.book(leastPostpone, 0); d < leastPostpone || d > leastPostpone+mostPostpone {
				t.Fatalf("postponed for %s", d)
			}
		}
		pass(mostPostpone + time.Second)
		if got := h.book(leastPostpone, 0); got != leastPostpone {
			t.Errorf("a task comes back after %s once all others have, want %s", got, leastPostpone)
		}
		for range 1000 {
			h.took(time.Second)
		}
		first, second := h.book(leastPostpone, 0), h.book(leastPostpone, 0)
		if d := second - first; d < 249*time.Millisecond || d > 251*time.Millisecond {
			t.Errorf("%s between two, want 250 ms: a second for each of 4", d)
		}
	})
}

// A backlog for a host whose circuit is open or half open comes back slowly: at most one in a millisecond, and after a tenth of BreakerOpen.
func TestABacklogComesBackSlowlyToAnOpenCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHost(Options{BreakerRequests: 1})
		for range 1000 {
			h.took(time.Microsecond) // it refuses connections, which is quick
		}
		done, _ := h.admit(t.Context())
		done(errors.New("broken"))
		const n = 10_000
		first, last := h.open().delay, time.Duration(0)
		for range n - 1 {
			last = h.open().delay
		}
		if first != 10*time.Second+time.Millisecond || last-first != (n-1)*time.Millisecond {
			t.Errorf("open: %s to %s, want %d that are 1 ms apart from the time on when it tries", first, last, n)
		}
		pass(time.Minute)
		var tries [halfOpen]func(error)
		for i := range tries {
			tries[i], _ = h.admit(t.Context())
		}
		refused(t, h, time.Second, time.Second)
		refused(t, h, time.Second+time.Millisecond, time.Second+time.Millisecond)
		for _, done := range tries {
			done(nil)
		}
	})
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

// The circuit opens when half of the requests within the window failed, and not before BreakerRequests; it lets 3 through after
// BreakerOpen, and closes when these succeed.
func TestTheCircuitOpensAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var opened int
		h := newHost("http://a:80", Options{BreakerRequests: 10, BreakerOpen: 10 * time.Second}.withDefaults(), func() { opened++ })
		broken := errors.New("broken")
		request := func(outcome error) {
			t.Helper()
			done, later := h.admit(t.Context())
			if done == nil {
				t.Fatalf("postponed: %v", later)
			}
			done(outcome)
		}
		closedNow := func(n int, outcome error) {
			t.Helper()
			for range n {
				request(outcome)
			}
		}
		closedNow(9, broken) // not enough requests yet
		pass(breakerWindow + breakerBucket)
		closedNow(9, broken) // the first 9 are forgotten
		for range 10 {
			request(errNotOfHost) // this tells nothing
		}
		request(broken) // the tenth
		for range 3 {
			refused(t, h, 10*time.Second, 11*time.Second)
		}
		pass(10*time.Second + time.Millisecond)
		var tries [halfOpen]func(error)
		for i := range tries {
			if tries[i], _ = h.admit(t.Context()); tries[i] == nil {
				t.Fatalf("try %d is refused", i)
			}
		}
		refused(t, h, time.Second, time.Second+time.Millisecond) // no more than 3 are tried
		tries[0](nil)
		tries[1](broken) // it opens again
		tries[2](nil)
		refused(t, h, 10*time.Second, 11*time.Second)
		pass(10*time.Second + time.Millisecond)
		closedNow(halfOpen, nil)
		closedNow(5, broken)
		closedNow(5, nil) // closed: as many failures as successes open it at the next failure
		if opened != 2 {
			t.Errorf("it has opened %d times, want 2", opened)
		}
	})
}

// refused demands that the circuit refuses a request, for a time between these.
func refused(t *testing.T, h *host, least, most time.Duration) {
	t.Helper()
	done, later := h.admit(t.Context())
	if done != nil || later == nil || later.outcome != outcomeOpen || later.delay < least || later.delay > most {
		t.Fatalf("%+v, want it to be postponed by the circuit for %s to %s", later, least, most)
	}
}

// The circuit, through the whole sender: what counts as a failure of the host opens it, and what does not leaves it closed. While it is
// open nothing is sent, tasks are postponed without an attempt, and other hosts are served.
func TestWhatOpensTheCircuit(t *testing.T) {
	for status, opens := range map[int]bool{500: true, 502: true, 503: true, 599: true, 404: false, 410: false, 429: false, 301: false, 200: false} {
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		s := newSender(t, Options{AllowPrivate: true, BreakerRequests: 5})
		for range 5 {
			s.Handle(t.Context(), delivery(r.URL))
		}
		err := s.Handle(t.Context(), delivery(r.URL))
		if open := triggerhook.Snoozed(err); open != opens || gauge(t, s, "triggerhook_webhook_circuits_open") != map[bool]int{true: 1}[open] {
			t.Errorf("%d: open %t, want %t (%v)", status, open, opens, err)
		}
		if n := len(r.requests()); opens && (n != 5 || counted(t, s, outcomeOpen) != 1) {
			t.Errorf("%d: %d requests, want 5, and one postponed", status, n)
		}
		other := newReceiver(t, nil)
		if err := s.Handle(t.Context(), delivery(other.URL)); err != nil {
			t.Errorf("another host: %v", err)
		}
	}
	// A refused address tells nothing about the host.
	s := newSender(t, Options{Resolver: resolver(t, loopback), BreakerRequests: 2})
	for range 5 {
		if err := s.Handle(t.Context(), delivery("http://rebound.example.com")); meaning(err) != "failed" {
			t.Errorf("refused: %v", err)
		}
	}
}

// A panic of the transport gives the slot back.
func TestAPanicGivesTheSlotBack(t *testing.T) {
	s := newSender(t, Options{AllowPrivate: true})
	s.transport.RegisterProtocol("http", panics{})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		s.Handle(t.Context(), delivery("http://example.com"))
	}()
	if n := gauge(t, s, "triggerhook_webhook_in_flight"); n != 0 {
		t.Errorf("%d in flight, want 0", n)
	}
}

// panics is a transport that panics.
type panics struct{}

// RoundTrip implements http.RoundTripper.
func (panics) RoundTrip(*http.Request) (*http.Response, error) { panic("fell") }

// Hosts that are in use are never forgotten, so their limits hold however many others come; of the idle ones the last are remembered.
func TestHostsAreBounded(t *testing.T) {
	s := must(newHosts(Options{MaxHosts: 10, PerHost: 1}.withDefaults(), func() {}))(t)
	busy := s.take("busy")
	for i := range 1000 {
		s.give(s.take(fmt.Sprint("host", i)))
	}
	if known, _, _ := s.count(); known != 11 {
		t.Errorf("%d hosts are remembered, want 10 and the one in use", known)
	}
	if again := s.take("busy"); again != busy {
		t.Error("a host in use was forgotten, and so its limit")
	}
	s.give(busy)
	last := s.take("host999")
	s.give(last)
	s.give(busy)
	if s.take("host999") != last || s.take("busy") != busy || s.take("host0").users != 1 {
		t.Error("the last hosts are not remembered")
	}
}

// Many handlers, hosts and outcomes at a time, for the race detector: nothing is in flight or in use at the end.
func TestManyAtATime(t *testing.T) {
	s := newSender(t, Options{AllowPrivate: true, PerHost: 2, MaxHosts: 2, BreakerRequests: 5})
	s.transport.RegisterProtocol("http", byPath{})
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			if i%7 == 0 {
				cancel()
			}
			defer cancel()
			s.Handle(ctx, delivery(fmt.Sprintf("http://h%d.example.com/%d", i%5, 200+i%4*100)))
		})
	}
	wg.Wait()
	if known, _, running := s.hosts.count(); running != 0 || known > 2 || len(s.hosts.active) != 0 {
		t.Errorf("%d run, %d hosts are known, %d in use; want 0, at most 2, 0", running, known, len(s.hosts.active))
	}
}

// byPath is a transport that answers with the status in the path.
type byPath struct{}

// RoundTrip implements http.RoundTripper.
func (byPath) RoundTrip(q *http.Request) (*http.Response, error) {
	if err := q.Context().Err(); err != nil {
		return nil, err
	}
	var status int
	if _, err := fmt.Sscanf(q.URL.Path, "/%d", &status); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("body"))}, nil
}
