package record

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

// The time of an outage counts towards Hold, for which a takeover is announced (OneGeneration;
// docs/model/servers.pml has it as ANY).
//
// Protocol. A worker whose server does not answer cannot know which server will: a replica
// that is promoted, or the same server after a restart. It announces task.Anywhere. From then
// on nothing is claimed, as after any announcement. A feeder that finds its partition cold
// Hold later, on whichever server, makes its generation current at once. If the server that
// counts answers again, the first worker that reads the announcement takes it back.
const (
	// vacateTimeout bounds one call of Vacate, so that roles are renewed in time.
	vacateTimeout = time.Second
	// vacateRest is for how long at least a process does not announce an outage again, and at
	// most it is twice that: if this process alone is cut off, the others take each
	// announcement back.
	vacateRest = 5 * time.Second
)

// Outage is which partitions did not answer, and when this process may announce that.
type Outage struct {
	mu     sync.Mutex
	failed []bool
	noted  chan struct{} // has an element once a partition has failed
	rest   []time.Time   // by partition: until then this process announces nothing
}

// NewOutage returns an Outage of no partition.
func NewOutage(parts int) *Outage {
	return &Outage{failed: make([]bool, parts), noted: make(chan struct{}, 1), rest: make([]time.Time, parts)}
}

// Noted has an element once a partition has failed.
func (o *Outage) Noted() <-chan struct{} { return o.noted }

// silent reports whether err says that no server answered that can be worked with.
func silent(err error) bool {
	return errors.Is(err, task.ErrUnavailable) || errors.Is(err, task.ErrReadOnly) || errors.Is(err, context.DeadlineExceeded)
}

// Note notes how a call to partition p ended.
func (o *Outage) Note(p int, err error) {
	if !silent(err) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed[p] = true
	wait.Wake(o.noted)
}

// NoteAll notes how a call ended that was about no partition.
func (o *Outage) NoteAll(err error) {
	for p := range o.failed {
		o.Note(p, err)
	}
}

// take returns the partitions that have failed since it was called last, without those that
// rest.
func (o *Outage) take() (some []int) {
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
func (o *Outage) restFrom(p int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest[p] = time.Now().Add(vacateRest + rand.N(vacateRest))
}

// Vacate announces, for each partition that has failed and still does not answer, that whichever
// server answers may take over.
func (r *Reader) Vacate(ctx context.Context, o *Outage) {
	ctx, cancel := context.WithTimeout(ctx, vacateTimeout)
	defer cancel()
	mute := slices.DeleteFunc(o.take(), func(p int) bool { return !r.mute(ctx, p) })
	if len(mute) == 0 {
		return
	}
	err := r.Refresh(ctx)
	for _, p := range mute {
		if err == nil {
			err = r.vacateOne(ctx, p, o)
		}
	}
	if err != nil {
		r.report.Error("announce that the hot set may move", err, "tried again")
	}
}

// vacateOne announces that of partition p, by records that were read just now. Then it reads what it has recorded.
func (r *Reader) vacateOne(ctx context.Context, p int, o *Outage) error {
	s := r.Partition(p)
	if k, _, _ := r.Last(); k.Exclusive || s.Current.Generation == 0 || s.Next != (task.Place{}) {
		return nil
	}
	failpoint.Hit("vacate/announce")
	next := task.Place{Generation: hotset.NewGeneration(), Server: task.Anywhere}
	_, swapped, err := r.Swap(ctx, p, s.Text, task.Generation{Current: s.Current, Next: next})
	if err != nil || !swapped {
		return err
	}
	failpoint.Hit("vacate/end")
	o.restFrom(p)
	r.report.Info("announced that the hot set may move, for its server does not answer", "partition", p, "from", s.Current.Server, "after_ms", Hold.Milliseconds())
	return r.Refresh(ctx)
}

// mute reports whether the server of partition p does not answer, and no announcement is known. A
// process that knows of one has noted when, and need not ask.
func (r *Reader) mute(ctx context.Context, p int) bool {
	if r.Partition(p).Next != (task.Place{}) {
		return false
	}
	short, cancel := context.WithTimeout(ctx, vetoWait)
	defer cancel()
	_, err := r.set.State(short, p)
	return silent(err) && ctx.Err() == nil
}
