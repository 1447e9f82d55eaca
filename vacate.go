package triggerhook

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/failpoint"
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
	select {
	case o.noted <- struct{}{}:
	default:
	}
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
	var mute []int
	for _, p := range o.take() {
		if r.mute(ctx, p) {
			mute = append(mute, p)
		}
	}
	if len(mute) == 0 {
		return
	}
	if err := r.now(ctx); err != nil {
		r.report.Error("announce that the hot set may move", err, "tried again")
		return
	}
	k, _, _ := r.last()
	for _, p := range mute {
		s := r.of(p)
		if k.exclusive || s.Counts.Generation == 0 || s.Next != (task.Place{}) {
			continue
		}
		failpoint.Hit("vacate/announce")
		next := task.Place{Generation: hotset.NewGeneration(), Server: task.Anywhere}
		_, swapped, err := r.swap(ctx, p, s.text, task.Generation{Counts: s.Counts, Next: next})
		r.report.Error("announce that the hot set may move", err, "tried again", "partition", p)
		if swapped {
			failpoint.Hit("vacate/end")
			o.restFrom(p)
			r.report.Info("announced that the hot set may move, for its server does not answer", "partition", p, "from", s.Counts.Server, "after_ms", hold.Milliseconds())
		}
	}
	r.report.Error("announce that the hot set may move", r.now(ctx), "read again")
}

// mute reports whether the server of partition p does not answer.
func (r *records) mute(ctx context.Context, p int) bool {
	short, cancel := context.WithTimeout(ctx, vetoWait)
	defer cancel()
	_, err := r.set.State(short, p)
	return silent(err) && ctx.Err() == nil
}
