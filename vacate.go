package triggerhook

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// An outage of a server counts towards the time that a takeover is announced for (rule
// OneGeneration; docs/model/servers.pml has it as ANY).
//
// Protocol. A worker whose server does not answer does not know yet which one will: a replica
// that is promoted, or the same one after a restart. It announces task.Anywhere. From then on
// nothing is claimed, as after any announcement. A feeder that finds its partition cold hold
// later, on whichever server, has its generation counted at once. If the server that counts
// answers again, the first worker that reads the announcement takes it back.
const (
	// vacateFor bounds one round of questions and announcements: roles are renewed in time.
	vacateFor = time.Second
	// vacateRest is for how long at least a process does not announce an outage again, and at
	// most it is twice that: if it alone is cut off, the others take each announcement back.
	vacateRest = 5 * time.Second
)

// outage is which partitions did not answer, and when this process may announce that.
type outage struct {
	mu     sync.Mutex
	failed []bool
	noted  chan struct{} // has an element once a partition has failed
	rest   []time.Time   // by partition: until then this process announces nothing
}

func newOutage(parts int) *outage {
	return &outage{failed: make([]bool, parts), noted: make(chan struct{}, 1), rest: make([]time.Time, parts)}
}

// silent reports whether err says that no server answered that can be worked with.
func silent(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrReadOnly) || errors.Is(err, context.DeadlineExceeded)
}

// note notes how a call to partition p ended.
func (o *outage) note(p int, err error) {
	if !silent(err) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed[p] = true
	wait.Wake(o.noted)
}

// noteAll notes how a call ended that was about no partition.
func (o *outage) noteAll(err error) {
	for p := range o.failed {
		o.note(p, err)
	}
}

// take returns the partitions that have failed since it was called last, without those that
// rest.
func (o *outage) take() (some []int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-o.noted:
	default:
	}
	for p := range o.failed {
		if o.failed[p] && !time.Now().Before(o.rest[p]) {
			some = append(some, p)
		}
		o.failed[p] = false
	}
	return some
}

// restFrom has this process announce nothing of p for a while.
func (o *outage) restFrom(p int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest[p] = time.Now().Add(vacateRest + rand.N(vacateRest))
}

// vacate announces, of the partitions that have failed and still do not answer, that whichever
// server does may take over.
func (r *records) vacate(ctx context.Context, o *outage) {
	ctx, cancel := context.WithTimeout(ctx, vacateFor)
	defer cancel()
	mute := slices.DeleteFunc(o.take(), func(p int) bool { return !r.mute(ctx, p) })
	if len(mute) == 0 {
		return
	}
	err := r.now(ctx)
	for _, p := range mute {
		if err == nil {
			err = r.vacateOne(ctx, p, o)
		}
	}
	r.report.Error("announce that the hot set may move", err, "tried again")
}

// vacateOne is vacate of partition p, by records that were read just now. Afterwards it reads what it has recorded.
func (r *records) vacateOne(ctx context.Context, p int, o *outage) error {
	s := r.of(p)
	if k, _, _ := r.last(); k.exclusive || s.Counts.Generation == 0 || s.Next != (task.Place{}) {
		return nil
	}
	failpoint.Hit("vacate/announce")
	next := task.Place{Generation: hotset.NewGeneration(), Server: task.Anywhere}
	_, swapped, err := r.swap(ctx, p, s.text, task.Generation{Counts: s.Counts, Next: next})
	if err != nil || !swapped {
		return err
	}
	failpoint.Hit("vacate/end")
	o.restFrom(p)
	r.report.Info("announced that the hot set may move, for its server does not answer", "partition", p, "from", s.Counts.Server, "after_ms", hold.Milliseconds())
	return r.now(ctx)
}

// mute reports whether the server of partition p does not answer, and no announcement is known. A
// process that knows of one has noted when, and need not ask.
func (r *records) mute(ctx context.Context, p int) bool {
	if r.of(p).Next != (task.Place{}) {
		return false
	}
	short, cancel := context.WithTimeout(ctx, vetoWait)
	defer cancel()
	_, err := r.set.State(short, p)
	return silent(err) && ctx.Err() == nil
}
