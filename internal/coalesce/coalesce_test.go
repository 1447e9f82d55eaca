package coalesce

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func echo(sizes *[]int) func([]int) []Result[int] {
	return func(items []int) []Result[int] {
		*sizes = append(*sizes, len(items))
		<-time.After(time.Second)
		res := make([]Result[int], len(items))
		for i, v := range items {
			res[i] = Result[int]{Value: v}
		}
		return res
	}
}

func TestCallsThatComeDuringAFlushShareTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		g := Group[int, int]{Max: 60, Flush: echo(&sizes)}
		first := g.Go(0)
		synctest.Wait()
		var rest []<-chan Result[int]
		for i := 1; i <= 100; i++ {
			rest = append(rest, g.Go(i))
		}
		<-first
		for i, ch := range rest {
			if r := <-ch; r.Value != i+1 || r.Err != nil {
				t.Fatalf("item %d was answered %v", i+1, r)
			}
		}
		if len(sizes) != 3 || sizes[0] != 1 || sizes[1] != 60 || sizes[2] != 40 {
			t.Fatalf("flushes of %v items, want [1 60 40]", sizes)
		}
	})
}

func TestWeightSplitsFlushesAndAHeavyItemGoesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		g := Group[int, int]{Weigh: func(v int) int { return v }, MaxWeight: 10, Flush: echo(&sizes)}
		chs := []<-chan Result[int]{g.Go(1)}
		synctest.Wait()
		for _, v := range []int{5, 5, 50, 3} {
			chs = append(chs, g.Go(v))
		}
		for _, ch := range chs {
			<-ch
		}
		if len(sizes) != 4 || sizes[1] != 2 || sizes[2] != 1 || sizes[3] != 1 {
			t.Fatalf("flushes of %v items, want [1 2 1 1]", sizes)
		}
	})
}

func TestACallerMayLeaveAndTheFlushGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		g := Group[int, int]{Flush: echo(&sizes)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := g.Do(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Do returned %v, want the end of its context", err)
		}
		if v, err := g.Do(t.Context(), 2); v != 2 || err != nil {
			t.Fatalf("Do returned %d, %v", v, err)
		}
		if len(sizes) != 2 {
			t.Fatalf("%d flushes, want 2", len(sizes))
		}
	})
}

func TestAFlushThatPanicsOrAnswersShortFailsItsCallers(t *testing.T) {
	for name, flush := range map[string]func([]int) []Result[int]{
		"panic: boom": func([]int) []Result[int] { panic("boom") },
		"answered 0":  func([]int) []Result[int] { return nil },
	} {
		g := Group[int, int]{Flush: flush}
		if _, err := g.Do(t.Context(), 1); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Do returned %v, want an error with %q", err, name)
		}
	}
}

// slow answers after as long as each group's first item says.
type slow struct {
	mu sync.Mutex
	seen
}

type seen struct {
	sizes  []int // of flights
	flying int   // now
	most   int   // at once
}

// look returns what was seen once nothing more happens by itself.
func (s *slow) look() seen {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func (s *slow) flush(items []time.Duration) []Result[int] {
	s.mu.Lock()
	s.sizes = append(s.sizes, len(items))
	s.flying++
	s.most = max(s.most, s.flying)
	s.mu.Unlock()
	<-time.After(items[0])
	s.mu.Lock()
	s.flying--
	s.mu.Unlock()
	return make([]Result[int], len(items))
}

func TestFewWaitForTheFlightUnderWayAndManyFlyBesideIt(t *testing.T) {
	for _, c := range []struct {
		calls int
		most  int
	}{{9, 1}, {10, 2}, {19, 2}, {70, 4}} { // the 10th has a second take off, with it or with those after it
		synctest.Test(t, func(t *testing.T) {
			var s slow
			g := Group[time.Duration, int]{Max: 20, Parallel: 4, Worth: 10, Patience: time.Hour, Flush: s.flush}
			chs := []<-chan Result[int]{g.Go(time.Second)}
			synctest.Wait()
			for range c.calls {
				chs = append(chs, g.Go(time.Second))
			}
			for _, ch := range chs {
				<-ch
			}
			if got := s.look(); got.most != c.most {
				t.Errorf("%d calls beside a flight: %d flights at once, of %v; want %d", c.calls, got.most, got.sizes, c.most)
			}
		})
	}
}

// Each call that finds all flights hanging takes one more; the rest still goes by
// those that do not hang.
func TestAFlightThatHangsHoldsUpCallsForItsPatienceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slow
		g := Group[time.Duration, int]{Parallel: 3, Worth: 10, Patience: time.Second, Flush: s.flush}
		hung := []<-chan Result[int]{g.Go(time.Hour)}
		synctest.Wait()
		hung = append(hung, g.Go(time.Hour)) // waits for the first one's patience
		began := time.Now()
		for range 5 {
			<-time.After(100 * time.Millisecond)
			g.Post(time.Millisecond) // goes with it
		}
		<-time.After(time.Second)
		if got := s.look(); got.flying != 2 || len(got.sizes) != 2 || got.sizes[1] != 6 {
			t.Fatalf("%d flights, of %v; want two of [1 6]", got.flying, got.sizes)
		}
		for i := range 5 {
			at := time.Now()
			<-g.Go(time.Millisecond)
			took := time.Since(at)
			if took > time.Second {
				t.Fatalf("call %d beside two that hang took %s, want the patience at most", i, took)
			}
			if i == 0 && took < 400*time.Millisecond {
				t.Fatalf("the first call took %s, as if the second flight could not land any more", took)
			}
		}
		for _, ch := range hung {
			<-ch
		}
		if all := time.Since(began); all > 2*time.Hour {
			t.Errorf("those that hung came after %s", all)
		}
	})
}

// It is the flight's present trip that counts, and not its first.
func TestPatienceCountsFromTheLastTakeOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slow
		g := Group[time.Duration, int]{Parallel: 2, Worth: 10, Patience: time.Second, Flush: s.flush}
		at := func(ms time.Duration, item time.Duration) <-chan Result[int] {
			<-time.After(ms * time.Millisecond)
			return g.Go(item)
		}
		chs := []<-chan Result[int]{at(0, 900*time.Millisecond), at(100, time.Hour)} // the second takes off at 900
		chs = append(chs, at(850, time.Hour))                                        // at 950, so it may at 1900
		for _, c := range []struct {
			after  time.Duration
			flying int
		}{{900 * time.Millisecond, 1}, {100 * time.Millisecond, 2}} {
			<-time.After(c.after)
			if got := s.look(); got.flying != c.flying {
				t.Errorf("after another %s: %d flights, of %v; want %d", c.after, got.flying, got.sizes, c.flying)
			}
		}
		for _, ch := range chs {
			<-ch
		}
	})
}

func TestAFlightEndsThatIsNotWorthItBesideAnother(t *testing.T) {
	for _, second := range []time.Duration{time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var s slow
			g := Group[time.Duration, int]{Parallel: 2, Worth: 10, Patience: 2 * time.Second, Flush: s.flush}
			first := g.Go(time.Second)
			<-time.After(500 * time.Millisecond)
			for range 10 {
				g.Post(second)
			}
			synctest.Wait()
			few := g.Go(time.Second)
			<-first
			if got := s.look(); got.flying != 1 {
				t.Errorf("%d flights once the first has landed, of %v; want the second alone", got.flying, got.sizes)
			}
			at := time.Now()
			<-few
			if took, got := time.Since(at), s.look(); took > 3*time.Second || len(got.sizes) != 3 {
				t.Errorf("calls that waited beside one of %s took %s more, by flights of %v; want 3 of them", second, took, got.sizes)
			}
			<-time.After(second)
		})
	}
}

// What comes at once is counted against the flight that is about to take it.
func TestCallsThatComeAtOnceFillTheFirstFlight(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, c := range []struct {
		group *Group[time.Duration, int]
		calls int
		most  int
	}{
		{&Group[time.Duration, int]{Max: 20, Parallel: 4, Worth: 10, Patience: time.Hour}, 25, 1},
		{&Group[time.Duration, int]{Max: 20, Parallel: 4, Worth: 10, Patience: time.Hour}, 30, 2},
		{&Group[time.Duration, int]{Max: 1, MaxWeight: 20, Weigh: func(time.Duration) int { return 1 }, Parallel: 4}, 4, 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			var s slow
			g := c.group
			g.Flush = s.flush
			for range c.calls {
				g.Post(time.Second)
			}
			<-time.After(time.Minute)
			if got := s.look(); got.most != c.most {
				t.Errorf("%d calls at once made %d flights at once, of %v; want %d", c.calls, got.most, got.sizes, c.most)
			}
		})
	}
}

// On one processor only the flight itself decides which callers run before it.
func TestCallersInALoopShareTheirFlights(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		const callers, rounds = 8, 50
		var s slow
		g := Group[time.Duration, int]{Parallel: 4, Worth: 100, Patience: time.Hour, Flush: s.flush}
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range rounds {
					<-g.Go(time.Second)
				}
			})
		}
		wg.Wait()
		if sizes := s.look().sizes; len(sizes) > rounds*3/2 {
			t.Errorf("%d rounds of %d callers took %d flights, of %v; in two groups they take %d", rounds, callers, len(sizes), sizes, 2*rounds)
		}
	})
}

// callAgain runs callers that call again that long after they were answered, until
// they have called so often; the first comes ahead of the others.
func callAgain(g *Group[time.Duration, int], callers, rounds int, ahead, after, flight time.Duration) {
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			<-time.After(time.Duration(min(i, 1)) * ahead)
			for range rounds {
				<-g.Go(flight)
				<-time.After(after)
			}
		})
	}
	wg.Wait()
}

func TestCallersThatComeBackSoonAreWaitedFor(t *testing.T) {
	const callers, rounds, flight = 8, 40, 10 * time.Millisecond
	for _, c := range []struct {
		after   time.Duration
		flights int
	}{{time.Millisecond, rounds + 4}, {9 * time.Millisecond, rounds + 4}} {
		synctest.Test(t, func(t *testing.T) {
			var s slow
			g := Group[time.Duration, int]{Parallel: 4, Worth: 100, Patience: time.Hour, Flush: s.flush}
			began := time.Now()
			callAgain(&g, callers, rounds, flight/2, c.after, flight)
			if took, most := time.Since(began), (rounds+2)*(flight+c.after); took > most {
				t.Errorf("%d rounds of callers that are away for %s took %s, want at most %s", rounds, c.after, took, most)
			}
			if got := s.look(); len(got.sizes) > c.flights {
				t.Errorf("%d rounds of %d callers that are away for %s took %d flights, of %v; in two groups they take %d",
					rounds, callers, c.after, len(got.sizes), got.sizes, 2*rounds)
			}
		})
	}
}

func TestACallerThatDoesNotComeBackIsWaitedForAWhileOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flight, back = 10 * time.Millisecond, time.Millisecond
		var s slow
		g := Group[time.Duration, int]{Parallel: 4, Worth: 100, Patience: time.Hour, Flush: s.flush, back: back}
		for i := range 6 {
			g.Go(flight) // and does not come again
			<-time.After(flight / 2)
			late, at := g.Go(flight), time.Now()
			<-late
			waited := time.Since(at) - flight/2 - flight
			if i == 0 && (waited < back || waited > 2*back) || waited > flight {
				t.Errorf("call %d waited for others for %s, want %s at first, and at most what a flight takes", i, waited, 2*back)
			}
		}
	})
}

func TestNoCallerIsWaitedForThatComesLaterThanAFlightTakes(t *testing.T) {
	const flight = 10 * time.Millisecond
	for ahead := time.Duration(0); ahead < 4*flight; ahead += time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			var s slow
			g := Group[time.Duration, int]{Parallel: 4, Worth: 100, Patience: time.Hour, Flush: s.flush}
			callAgain(&g, 8, 20, ahead, 3*flight, flight)
			<-time.After(time.Minute)
			first := g.Go(flight)
			<-time.After(flight / 2)
			second, at := g.Go(flight), time.Now()
			<-first
			<-second
			if took := time.Since(at); took > 3*flight/2 {
				t.Errorf("with one caller %s ahead a call took %s, want what is left of a flight and one of its own", ahead, took)
			}
		})
	}
}

func TestWhatYieldsFliesOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slow
		var yields atomic.Bool
		yields.Store(true)
		g := Group[time.Duration, int]{Max: 10, Parallel: 4, Worth: 100, Patience: time.Second, Yields: yields.Load, Flush: s.flush}
		post := func(n int, flight time.Duration) {
			for range n {
				g.Post(flight)
			}
		}
		post(99, time.Millisecond)
		for _, want := range []int{1, 1, 2, 2, 3} {
			if got := s.look(); len(got.sizes) != want {
				t.Errorf("while it yields: %d flights took off, want %d", len(got.sizes), want)
			}
			<-time.After(500 * time.Millisecond)
		}
		post(100, time.Minute) // much waits
		<-time.After(100 * time.Millisecond)
		if got := s.look(); got.flying != 0 || len(got.sizes) < 6 {
			t.Errorf("while much waits: %d flights took off, want some that land at once", len(got.sizes))
		}
		<-time.After(time.Hour)
	})
	synctest.Test(t, func(t *testing.T) {
		var s slow
		var yields atomic.Bool
		yields.Store(true)
		g := Group[time.Duration, int]{Max: 10, Parallel: 4, Worth: 100, Patience: time.Hour, Yields: yields.Load, Flush: s.flush}
		for range 60 {
			g.Post(time.Second)
		}
		synctest.Wait()
		yields.Store(false)
		g.Ask()
		if got := s.look(); got.flying != 4 {
			t.Errorf("once it yields no more: %d flights, want 4", got.flying)
		}
		<-time.After(time.Minute)
	})
}

// What yields takes no more than a fifth of the time of what it goes to.
func TestWhatYieldsWaitsLongerWhereItIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s slow
		g := Group[time.Duration, int]{Max: 10, Parallel: 4, Worth: 100, Patience: time.Second, Yields: func() bool { return true }, Flush: s.flush}
		for range 60 {
			g.Post(500 * time.Millisecond)
		}
		for i, want := range []int{1, 1, 2, 2, 3} { // off at 0, 2.5 and 5 s
			if got := s.look(); len(got.sizes) != want {
				t.Errorf("after %d times 1.3 s: %d flights took off, want %d", i, len(got.sizes), want)
			}
			<-time.After(1300 * time.Millisecond)
		}
		<-time.After(time.Hour)
	})
}

// Whatever comes when: all is answered, in the order of the calls, by flights that are
// neither too many nor too heavy; and no call waits for long unless all flights hang.
func TestRandomCallsAreAllTakenInTurn(t *testing.T) {
	const calls, parallel, heaviest = 200, 3, 10
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			type item struct{ no, weight int }
			rng := rand.New(rand.NewPCG(seed, 0))
			pauses := make([]time.Duration, calls)
			for i := range pauses {
				pauses[i] = time.Duration(rng.ExpFloat64() * float64(time.Millisecond))
			}
			var mu sync.Mutex
			flying, next := 0, 0
			g := Group[item, int]{Max: 5, MaxWeight: heaviest, Weigh: func(it item) int { return it.weight }, Parallel: parallel,
				Worth: 1 + rng.IntN(heaviest), Patience: time.Duration(rng.IntN(3)) * time.Millisecond}
			g.Flush = func(items []item) []Result[int] {
				mu.Lock()
				flying++
				res, weight, first := make([]Result[int], len(items)), 0, items[0].no
				for i, it := range items {
					weight += it.weight
					res[i].Value = it.no
					if it.no != first+i {
						t.Errorf("seed %d: a flight takes %v", seed, items)
					}
				}
				if flying > parallel || len(items) > 5 || weight > heaviest && len(items) > 1 {
					t.Errorf("seed %d: %d flights, one of %v", seed, flying, items)
				}
				next += len(items)
				last := next == calls
				mu.Unlock()
				if !last {
					<-time.After(pauses[first] * 2)
				}
				mu.Lock()
				flying--
				mu.Unlock()
				return res
			}
			var chs []<-chan Result[int]
			for i := range calls {
				chs = append(chs, g.Go(item{i, 1 + i%(heaviest+2)}))
				<-time.After(pauses[(i+7)%calls] / 4)
			}
			for i, ch := range chs {
				if r := <-ch; r.Err != nil || r.Value != i {
					t.Errorf("seed %d: call %d was answered %v", seed, i, r)
				}
			}
			synctest.Wait()
			if len(g.flights)+len(g.pending)+g.weight+g.boarding != 0 {
				t.Errorf("seed %d: left are %d flights, %d calls of weight %d, %d boarding", seed, len(g.flights), len(g.pending), g.weight, g.boarding)
			}
		})
	}
}
