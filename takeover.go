package triggerhook

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// restFirst is for how long at least a feeder whose announcement was taken back does not
// announce again, and at most it is twice that: some processes hear of a failover a few
// seconds later than others, and work with the old master until then. It doubles each time up to
// restMost, for claims wait while an announcement stands, and two servers may stand for long.
const (
	restFirst = 500 * time.Millisecond
	restMost  = 5 * time.Second
)

// takeOver has a generation counted on this process's server, whose partition p is cold, and
// returns its number once it counts; 0, and when to come again, before that (rule
// OneGeneration).
//
// It counts at once if none did; if the one before was on the same server, which has lost its
// data; or if all that worked with the one before have ended, as the store can tell. Else it
// is announced, and counts hold after that, if the announcement still stands; a server that did
// not answer may have been announced before any other was known (vacate.go).
func (f *feeder) takeOver(ctx context.Context, p int, server string) (generation int64, wait time.Duration, err error) {
	if err := f.records.now(ctx); err != nil {
		return 0, 0, err
	}
	s := f.records.of(p)
	f.noteVeto(p, s, server)
	own := task.Place{Generation: hotset.NewGeneration(), Server: server}
	switch since := time.Since(s.since); {
	case s.Counts.Generation == 0 || s.Counts.On(server) || s.past:
		failpoint.Hit("generation/record")
		return f.count(ctx, p, s, own)
	case s.Next.Generation != 0 && mayBe(s.Next, server) && since >= hold:
		failpoint.Hit("generation/settle")
		return f.count(ctx, p, s, own) // another number: whoever announced it may settle it too, and each begins its own
	case s.Next.Generation != 0 && mayBe(s.Next, server):
		return 0, hold - since, nil
	case s.Next.Generation != 0 && since < 2*hold: // after that, whoever announced it has ended
		return 0, 2*hold - since, nil
	case time.Now().Before(f.rest[p]):
		return 0, time.Until(f.rest[p]), nil
	}
	failpoint.Hit("generation/announce")
	_, swapped, err := f.records.swap(ctx, p, s.text, task.Generation{Counts: s.Counts, Next: own})
	if err != nil || !swapped {
		return 0, feedEvery, err
	}
	f.announced[p] = own.Generation
	f.report.Info("announced that the hot set moves", "partition", p, "from", s.Counts.Server, "to", server, "after_ms", hold.Milliseconds())
	return 0, hold, f.records.now(ctx)
}

// mayBe reports whether it is server that was announced, or whichever answers.
func mayBe(next task.Place, server string) bool {
	return next.Server == server || next.Server == task.Anywhere
}

// count records that a generation counts, in place of what s is, and returns its number.
func (f *feeder) count(ctx context.Context, p int, s standing, it task.Place) (generation int64, wait time.Duration, err error) {
	_, swapped, err := f.records.swap(ctx, p, s.text, task.Generation{Counts: it})
	if err != nil || !swapped {
		return 0, feedEvery, err
	}
	if err := f.records.now(ctx); err != nil {
		return 0, 0, err
	}
	if f.records.of(p).Counts != it {
		return 0, feedEvery, nil // another one counts by now
	}
	f.announced[p], f.vetoes[p] = 0, 0 // what was announced is settled, and not taken back
	failpoint.Hit("generation/begin")
	return it.Generation, 0, nil
}

// noteVeto notes that what this feeder has announced was taken back, and rests for a while. A
// set in this process's memory is of no use to anybody else, so its work ends.
func (f *feeder) noteVeto(p int, s standing, server string) {
	mine := f.announced[p]
	if mine == 0 || s.Next.Generation == mine {
		return
	}
	if f.announced[p] = 0; s.Counts.On(server) {
		return
	}
	rest := min(restFirst<<min(f.vetoes[p], 10), restMost)
	f.vetoes[p]++
	f.rest[p] = time.Now().Add(rest + rand.N(rest))
	err := fmt.Errorf("%w: the hot set that counts is on server %q, where other workers work with it; this process works with server %q, which is idle until they have stopped",
		ErrUnavailable, s.Counts.Server, server)
	f.report.Error("take over the hot set", err, "tried again in some seconds", "partition", p)
	if f.set.Config().InProcess {
		f.records.end(fmt.Errorf("%w: the hot set that counts is in another process (%s), which works; a set in memory serves one process alone", ErrRefused, s.Counts.Server))
	}
}

// keep records once more what was recorded before this process opened a store that it has to
// itself: from now on somebody works with it.
func (f *feeder) keep(ctx context.Context, p int) {
	s := f.records.of(p)
	if !s.past || s.Counts.Generation == 0 {
		return
	}
	_, _, err := f.records.swap(ctx, p, s.text, s.Generation)
	f.report.Error("keep the hot set", err, "tried again", "partition", p)
}

// release records that no generation counts, if the set that holds it ends with this process
// and nobody else works with it: whoever comes next need not wait.
func (s *Scheduler) release(ctx context.Context) {
	k, _, _ := s.records.last()
	if !s.set.Config().InProcess || k.exclusive {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readFor)
	defer cancel()
	for p := range s.parts {
		st, err := s.set.State(ctx, p)
		if err != nil || st.Watchers > 0 {
			return
		}
		is := s.records.of(p)
		if is.Counts.Generation == 0 || is.Counts.Server != st.Server {
			continue
		}
		failpoint.Hit("release/record")
		_, _, err = s.records.swap(ctx, p, is.text, task.Generation{})
		failpoint.Hit("release/end")
		s.report.Error("release the hot set", err, "the next process waits a while", "partition", p)
	}
	s.report.Error("release the hot set", s.records.now(ctx), "read again")
}
