// Package preload brings rows that were created or moved into the hot set.
//
// AsOfBeforeRead: an add names a moment of the hot set (task.AsOf) that was seen before its
// rows were inserted or read. So the order is: Stamp, the commit of the rows, Add.
package preload

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/internal/horizon"
	"github.com/triggerhook/triggerhook/internal/record"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/internal/retry"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// Timeout is how long a caller waits for the hot set: for the clocks before the commit, and
	// for each maxMembers rows after it. Then the retries take over.
	Timeout = 100 * time.Millisecond
	// backoff is how long callers do not try a partition after a failure, and the pause between
	// two retries.
	backoff = time.Second
	// maxCalls is how many calls that share adds a partition has under way: a second one
	// arrives while the answer to the first is on its way back.
	maxCalls = 2
	// maxMembers is the most members that one call adds.
	maxMembers = 1000
)

// Options of New. All of them are set.
type Options struct {
	Store         durable.Store    // has the rows
	Set           hotset.Set       // gets them
	Records       *record.Reader   // which generation is current
	Window        *horizon.Window  // which tasks are far
	InlinePayload int              // the longest payload that the hot set holds
	Keeps         task.Sample      // the ids whose history this process keeps: their entries have what it needs of their rows
	Closed        func(error)      // gives up all that waits; called when a store or its client is closed
	Failures      *retry.Failures  // notes why a retry failed
	Report        *report.Reporter // gets what no caller can be told
	Hooks         hook.Hooks       // are told of events; each may be nil
}

// Adder adds rows to the hot set that were created or moved. Adds of concurrent calls share
// calls to the Set. An add that fails is retried in the background.
type Adder struct {
	o      Options
	parts  int
	groups []*group // by partition
	added  atomic.Uint64
	loop   retry.Loop
	queue  queue

	linger    atomic.Bool    // adds may linger
	lingering []*group       // of adds that do, by partition
	waiting   retry.InFlight // the rows of these

	mu      sync.Mutex
	retryAt []time.Time // by partition: until then callers do not try it
}

// New returns an Adder. It starts nothing.
func New(o Options) *Adder {
	a := &Adder{o: o, parts: o.Set.Config().Partitions}
	a.retryAt = make([]time.Time, a.parts)
	a.queue.since = map[task.Ref]time.Time{}
	a.loop = retry.Loop{Pause: backoff, PauseFirst: true, Round: a.retryAll, Waiting: a.queue.any}
	for p := range a.parts {
		a.groups = append(a.groups, a.newGroup(p))
		a.lingering = append(a.lingering, a.newLingering(p))
	}
	return a
}

// Added is how many rows this process has added since it began.
func (a *Adder) Added() uint64 { return a.added.Load() }

// PartitionRows is rows that belong to one partition, and a moment of that partition.
type PartitionRows struct {
	P     int        // the partition
	AsOf  task.AsOf  // the moment
	Rows  []task.Row // all of P
	known bool       // AsOf was seen, and before the rows were inserted
	asked time.Time  // a moment before AsOf was seen
	since time.Time  // when Rows began to linger
	ended func()     // notes that they linger no longer
}

// Stamp splits rows by their partitions, and looks at the time of each partition before the
// rows are inserted (AsOfBeforeRead). If a partition does not answer in time its rows are added
// later.
func (a *Adder) Stamp(ctx context.Context, rows []task.Row) []PartitionRows {
	all := a.split(rows)
	a.o.Records.RefreshIfOld(ctx)
	short, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	for i := range all {
		if !a.Available(all[i].P) {
			continue
		}
		asked := time.Now()
		asOf, err := a.o.Set.Clock(short, all[i].P)
		if err != nil {
			if ctx.Err() == nil {
				a.failed("ask the hot set's time", all[i].P, err)
			}
			continue
		}
		all[i].AsOf, all[i].known, all[i].asked = asOf, true, asked
	}
	return all
}

func (a *Adder) split(rows []task.Row) []PartitionRows {
	if a.parts == 1 || len(rows) == 1 {
		return []PartitionRows{{P: task.Partition(rows[0].ID, a.parts), Rows: rows}}
	}
	byPart := map[int][]task.Row{}
	for _, r := range rows {
		p := task.Partition(r.ID, a.parts)
		byPart[p] = append(byPart[p], r)
	}
	all := make([]PartitionRows, 0, len(byPart))
	for p, rows := range byPart {
		all = append(all, PartitionRows{P: p, Rows: rows})
	}
	return all
}

// Available reports whether callers should try a partition.
func (a *Adder) Available(p int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !time.Now().Before(a.retryAt[p])
}

func (a *Adder) failed(act string, p int, err error) {
	a.mu.Lock()
	a.retryAt[p] = time.Now().Add(backoff)
	a.mu.Unlock()
	a.o.Report.Error(act, err, "the task is stored, and is added in a second", "partition", p)
}

// Add adds rows that were committed after they were stamped, except those that are far
// (FarUntold). It also adds if the partition was cold before the commit, because a feeder may have
// begun a generation meanwhile, and read the rows before these were committed. The answer is
// ErrStale then, and Add reads the rows again. Adds that linger go on after Add has returned.
func (a *Adder) Add(all []PartitionRows) {
	var left []task.Row
	var offered []offer
	for i := range all {
		part := &all[i]
		if !part.known {
			left = append(left, horizon.NearByLocalClock(part.Rows)...)
			continue
		}
		if part.Rows = horizon.Near(part.Rows, a.o.Window.FarAbove(part.AsOf, wait.Elapsed(part.asked))); len(part.Rows) == 0 {
			continue
		}
		if len(part.Rows) > maxMembers && wait.Elapsed(part.asked) > task.TombstoneTTL/2 { // AsOf is stale, or soon will be
			left = append(left, part.Rows...)
			continue
		}
		for rows := range slices.Chunk(a.owned(part.Rows), maxMembers) {
			r := PartitionRows{P: part.P, AsOf: part.AsOf, Rows: rows, asked: part.asked}
			if a.mayLinger(r) {
				a.addLater(r)
			} else {
				offered = append(offered, offer{rows, a.groups[part.P].Go(r)})
			}
		}
	}
	a.Enqueue(append(left, unanswered(offered)...))
}

// offer is rows that were offered to the hot set.
type offer struct {
	rows []task.Row
	done <-chan coalesce.Result[struct{}]
}

// errLate is what await returns if there is no answer in time. The call itself reports its
// error.
var errLate = errors.New("no answer in time")

func (o offer) await(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case r := <-o.done:
		return r.Err
	case <-timer.C:
		return errLate
	}
}

// unanswered returns the rows whose call failed or has not been answered in time; some of them may be added. It waits Timeout for each answer. Once
// an answer was late it waits for no further one.
func unanswered(all []offer) (left []task.Row) {
	timeout := Timeout
	for _, o := range all {
		err := o.await(timeout)
		if err != nil {
			left = append(left, o.rows...)
		}
		if errors.Is(err, errLate) {
			timeout = 0
		}
	}
	return left
}
