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
// Hold later, on whichever server, makes its generation current at once. If the server of the
// current generation answers again, the first worker that reads the announcement takes it back.
const (
	// vacateTimeout bounds one call of Vacate, so that roles are renewed in time.
	vacateTimeout = time.Second
	// vacateRest is how long at least, and half of how long at most, a process announces no outage after it has
	// announced one. If this process alone is cut off, the others take each announcement back.
	vacateRest = 5 * time.Second
)

// Outage has the partitions that did not answer, and when this process may announce that.
type Outage struct {
	mu            sync.Mutex
	failed        []bool
	noted         chan struct{} // has an element once a partition has failed
	announceAfter []time.Time   // by partition: until then this process announces nothing
}

// NewOutage returns an Outage of no partition.
func NewOutage(parts int) *Outage {
	return &Outage{failed: make([]bool, parts), noted: make(chan struct{}, 1), announceAfter: make([]time.Time, parts)}
}

// Noted has an element once a partition has failed.
func (o *Outage) Noted() <-chan struct{} { return o.noted }

// unanswered reports whether err says that no usable server has answered.
func unanswered(err error) bool {
	return errors.Is(err, task.ErrUnavailable) || errors.Is(err, task.ErrReadOnly) || errors.Is(err, context.DeadlineExceeded)
}

// Note notes how a call to partition p ended.
func (o *Outage) Note(p int, err error) {
	if !unanswered(err) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed[p] = true
	wait.Wake(o.noted)
}

// NoteAll notes for all partitions how a call ended that was about all of them.
func (o *Outage) NoteAll(err error) {
	for p := range o.failed {
		o.Note(p, err)
	}
}

// take returns the partitions that have failed since the last take, without those for which this
// process may not announce anything yet (holdOff).
func (o *Outage) take() (some []int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-o.noted:
	default:
	}
	for p := range o.failed {
		if o.failed[p] && !time.Now().Before(o.announceAfter[p]) {
			some = append(some, p)
		}
		o.failed[p] = false
	}
	return some
}

// holdOff notes that this process announces nothing of p for a while.
func (o *Outage) holdOff(p int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.announceAfter[p] = time.Now().Add(vacateRest + rand.N(vacateRest))
}

// Vacate announces that any server may take over, for each partition that has failed and still does
// not answer.
func (r *Reader) Vacate(ctx context.Context, o *Outage) {
	ctx, cancel := context.WithTimeout(ctx, vacateTimeout)
	defer cancel()
	unanswered := slices.DeleteFunc(o.take(), func(p int) bool { return !r.stillUnanswered(ctx, p) })
	if len(unanswered) == 0 {
		return
	}
	err := r.Refresh(ctx)
	for _, p := range unanswered {
		if err == nil {
			err = r.vacateOne(ctx, p, o)
		}
	}
	if err != nil {
		r.report.Error("announce that the hot set may move", err, "tried again")
	}
}

// vacateOne announces that for partition p, with records that were read just now. Then it reads the records again.
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
	o.holdOff(p)
	r.report.Info("announced that the hot set may move, for its server does not answer", "partition", p, "from", s.Current.Server, "after_ms", Hold.Milliseconds())
	return r.Refresh(ctx)
}

// stillUnanswered reports whether the server of partition p does not answer, and no announcement is known. If one
// is known there is nothing to announce, and stillUnanswered does not ask the server.
func (r *Reader) stillUnanswered(ctx context.Context, p int) bool {
	if r.Partition(p).Next != (task.Place{}) {
		return false
	}
	short, cancel := context.WithTimeout(ctx, vetoWait)
	defer cancel()
	_, err := r.set.State(short, p)
	return unanswered(err) && ctx.Err() == nil
}
