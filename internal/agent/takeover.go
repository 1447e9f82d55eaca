package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/record"
	"github.com/triggerhook/triggerhook/task"
)

// After its announcement was taken back a feeder announces nothing for a random time between restFirst and
// twice that: some processes hear of a failover a few seconds later than others, and work with the old
// master until then. That time doubles with each announcement that is taken back, up to restMost:
// claims wait while an announcement stands, and two servers may both answer for a long time.
const (
	restFirst = 500 * time.Millisecond
	restMost  = 5 * time.Second
)

// takeOver makes a generation of this process's server current, where partition p is cold. It
// returns the generation's number once it is current; before that, 0 and when to come again
// (OneGeneration).
//
// The generation becomes current at once in three cases: none was current before; the previous one
// was on the same server, which has lost its data; or all processes that worked with the previous
// one have ended, as the store can tell. Otherwise it is announced, and becomes current
// record.Hold later, if the announcement is still recorded. While a server did not answer,
// task.Anywhere may have been announced (record.Reader.Vacate), which includes this server.
func (f *feeder) takeOver(ctx context.Context, p int, server string) (generation int64, wait time.Duration, err error) {
	if err := f.o.Records.Refresh(ctx); err != nil {
		return 0, 0, err
	}
	s := f.o.Records.Partition(p)
	f.noteVeto(p, s, server)
	own := task.Place{Generation: hotset.NewGeneration(), Server: server}
	switch since := time.Since(s.Since); {
	case s.Current.Generation == 0 || s.Current.On(server) || s.Past:
		failpoint.Hit("generation/record")
		return f.makeCurrent(ctx, p, s, own)
	case s.Next.Generation != 0 && mayBe(s.Next, server) && since >= record.Hold:
		failpoint.Hit("generation/settle")
		return f.makeCurrent(ctx, p, s, own) // not the announced number: the process that announced it may do the same, and each begins its own generation
	case s.Next.Generation != 0 && mayBe(s.Next, server):
		return 0, record.Hold - since, nil
	case s.Next.Generation != 0 && since < 2*record.Hold: // another server is announced; after that time the process that announced it has ended
		return 0, 2*record.Hold - since, nil
	case time.Now().Before(f.announceAfter[p]):
		return 0, time.Until(f.announceAfter[p]), nil
	}
	failpoint.Hit("generation/announce")
	_, swapped, err := f.o.Records.Swap(ctx, p, s.Text, task.Generation{Current: s.Current, Next: own})
	if err != nil || !swapped {
		return 0, failedRetry, err
	}
	f.announced[p] = own.Generation
	f.o.Report.Info("announced that the hot set moves", "partition", p, "from", s.Current.Server, "to", server, "after_ms", record.Hold.Milliseconds())
	return 0, record.Hold, f.o.Records.Refresh(ctx)
}

// mayBe reports whether it is server that was announced, or whichever answers.
func mayBe(next task.Place, server string) bool {
	return next.Server == server || next.Server == task.Anywhere
}

// makeCurrent records that generation it is current, if s is still what is recorded, and returns its number. If
// another process was faster, it returns 0 and when to come again.
func (f *feeder) makeCurrent(ctx context.Context, p int, s record.Partition, it task.Place) (generation int64, wait time.Duration, err error) {
	_, swapped, err := f.o.Records.Swap(ctx, p, s.Text, task.Generation{Current: it})
	if err != nil || !swapped {
		return 0, failedRetry, err
	}
	if err := f.o.Records.Refresh(ctx); err != nil {
		return 0, 0, err
	}
	if f.o.Records.Partition(p).Current != it {
		return 0, failedRetry, nil // another one is current by now
	}
	f.announced[p], f.vetoes[p] = 0, 0 // so noteVeto does not take the announcement, which is over, for one that was taken back
	failpoint.Hit("generation/begin")
	return it.Generation, 0, nil
}

// noteVeto looks whether the announcement of this feeder was taken back. Then the feeder announces nothing for a
// while. If its set is in this process's memory, the work of this process ends, because the current set is in another
// process, which works.
func (f *feeder) noteVeto(p int, s record.Partition, server string) {
	mine := f.announced[p]
	if mine == 0 || s.Next.Generation == mine {
		return
	}
	if f.announced[p] = 0; s.Current.On(server) {
		return
	}
	rest := min(restFirst<<min(f.vetoes[p], 10), restMost)
	f.vetoes[p]++
	f.announceAfter[p] = time.Now().Add(rest + rand.N(rest))
	err := fmt.Errorf("%w: the current hot set is on server %q, where other workers work with it; this process works with server %q, which is idle until they have stopped",
		task.ErrUnavailable, s.Current.Server, server)
	f.o.Report.Error("take over the hot set", err, "tried again in some seconds", "partition", p)
	if f.o.Set.Config().InProcess {
		f.o.Records.Abort(fmt.Errorf("%w: the current hot set is in another process (%s), which works; a set in memory serves one process alone", task.ErrRefused, s.Current.Server))
	}
}

// adoptGeneration records once more the generation that an earlier process has recorded in a store that one process
// has to itself (bolt): from now on this process works with it.
func (f *feeder) adoptGeneration(ctx context.Context, p int) {
	s := f.o.Records.Partition(p)
	if !s.Past || s.Current.Generation == 0 {
		return
	}
	_, _, err := f.o.Records.Swap(ctx, p, s.Text, s.Generation)
	if err != nil {
		f.o.Report.Error("keep the hot set", err, "tried again", "partition", p)
	}
}

// Release records that no generation is current, if the set that holds it ends with this process
// and no other process works with it. The next process need not wait then.
func (e *Elector) Release(ctx context.Context) {
	k, _, _ := e.o.Records.Last()
	if !e.o.Set.Config().InProcess || k.Exclusive {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), record.RefreshIfOldTimeout)
	defer cancel()
	for p := range e.o.parts {
		st, err := e.o.Set.State(ctx, p)
		if err != nil || st.Watchers > 0 {
			return
		}
		is := e.o.Records.Partition(p)
		if is.Current.Generation == 0 || is.Current.Server != st.Server {
			continue
		}
		failpoint.Hit("release/record")
		_, _, err = e.o.Records.Swap(ctx, p, is.Text, task.Generation{})
		failpoint.Hit("release/end")
		if err != nil {
			e.o.Report.Error("release the hot set", err, "the next process waits a while", "partition", p)
		}
	}
	if err := e.o.Records.Refresh(ctx); err != nil {
		e.o.Report.Error("release the hot set", err, "read again")
	}
}
