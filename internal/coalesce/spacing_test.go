package coalesce

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const (
	spacedFlight = 1500 * time.Microsecond
	spacing      = 4 * time.Millisecond
)

func spaced(s *slow) *Group[time.Duration, int] {
	return &Group[time.Duration, int]{Parallel: 4, Worth: 100, Patience: 3 * time.Millisecond, Spacing: spacing, Flush: s.flush}
}

// arrive makes n calls, one each interval, and returns the longest time that one took.
func arrive(g *Group[time.Duration, int], n int, interval time.Duration) (longest time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			began := time.Now()
			<-g.Go(spacedFlight)
			mu.Lock()
			defer mu.Unlock()
			longest = max(longest, time.Since(began))
		})
		<-time.After(interval)
	}
	wg.Wait()
	return longest
}

// Rule 8: calls that come on their own share flights that are Spacing apart, and none waits longer than that.
func TestCallersThatComeOnTheirOwnShareFlights(t *testing.T) {
	for _, interval := range []time.Duration{100 * time.Microsecond, 300 * time.Microsecond, time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			const calls = 1000
			var s slow
			longest := arrive(spaced(&s), calls, interval)
			if sizes, most := s.look().sizes, calls*int(interval)/int(spacing)+5; len(sizes) > most {
				t.Errorf("%d calls, one each %s, took %d flights, of %v; want at most %d", calls, interval, len(sizes), sizes, most)
			}
			if longest > spacing+spacedFlight {
				t.Errorf("of calls that come each %s one took %s, want at most %s and a flight", interval, longest, spacing)
			}
		})
	}
}

func TestACallerThatIsAloneDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slow
		g := spaced(&s)
		for range 100 {
			began := time.Now()
			<-g.Go(spacedFlight)
			if took := time.Since(began); took > spacedFlight {
				t.Fatalf("a call of a caller that is alone took %s, want %s", took, spacedFlight)
			}
			<-time.After(2 * spacedFlight / 3)
		}
		<-time.After(time.Second)
		first := g.Go(spacedFlight)
		<-time.After(time.Millisecond)
		began := time.Now()
		<-g.Go(spacedFlight)
		<-first
		if took, most := time.Since(began), 2*spacedFlight-time.Millisecond; took > most {
			t.Errorf("a call that came beside the flight of one other took %s, want %s", took, most)
		}
	})
}

// Also if they are away for longer than a flight takes.
func TestCallersInALoopAreNotSpaced(t *testing.T) {
	const rounds = 100
	for _, c := range []struct{ flight, away time.Duration }{
		{spacedFlight, 100 * time.Microsecond},
		{400 * time.Microsecond, 500 * time.Microsecond},
		{400 * time.Microsecond, 2 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			var s slow
			began := time.Now()
			callAgain(spaced(&s), 8, rounds, 0, c.away, c.flight)
			if took, most := time.Since(began), (rounds+10)*(c.flight+c.away+c.flight/4); took > most {
				t.Errorf("%d rounds of callers that are away for %s took %s, want at most %s", rounds, c.away, took, most)
			}
		})
	}
}

// After a time without calls the first ones to come do not make callers in a loop look slow.
func TestAQuietTimeIsForgottenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flight, away = 400 * time.Microsecond, 100 * time.Microsecond
		var s slow
		g := spaced(&s)
		callAgain(g, 8, 10, 0, away, flight)
		<-time.After(time.Hour)
		callAgain(g, 8, 1, 0, away, flight)
		if g.back > 10*flight {
			t.Errorf("callers are expected after %s, for the last came after an hour; they come after %s", g.back, away)
		}
	})
}

func TestCallsThatAreWorthAFlightAreNotSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slow
		g := spaced(&s)
		g.rest = time.Now().Add(spacing) // as after a flight for several callers
		began := time.Now()
		var all []<-chan Result[int]
		for range 100 {
			all = append(all, g.Go(spacedFlight))
		}
		for _, c := range all {
			<-c
		}
		if took := time.Since(began); took > spacedFlight {
			t.Errorf("100 calls that are worth a flight took %s, want %s", took, spacedFlight)
		}
	})
}
