package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// postponement is a Rollback with a delay that the hot set cannot keep: the row gets another time
// and version, and the feeder or Add brings that version into the hot set when its time is near. The
// method try has the steps.
//
// After a try that fails another one follows until the drain is over, as with a confirm, unless the error is final:
//
//   - All tries move the row to the same version, so that a try whose answer was lost is not made twice.
//   - If the answer to a try was lost, and the next try finds no row, the row counts as moved: most
//     likely it was, and the task was delivered or deleted since. A try that is known to have failed
//     counts for nothing.
//   - A late try must not take the row from another worker. So there is no try once the lease has
//     expired. Each try first asks the hot set whether the member is still in this worker's batch,
//     unless a release has just told that (docs/model/postpone.pml).
//
// If the postponement cannot be made this is reported, and the task is given back without its delay.
// One goroutine owns a postponement.
type postponement struct {
	s      *settler
	c      *Consumer
	d      *Delivery
	back   redelivery
	to     task.Row
	member memberPlace
	prev   prevVersion
	move   moveAnswer
}

// memberPlace is what is known of the delivery's member when a try begins.
type memberPlace int

const (
	maybeTaken   memberPlace = iota // another worker may have it by now: the try asks the hot set first
	stillInBatch                    // the hot set has just told that it is in this worker's batch
)

// prevVersion is what is known of the version that the row had before d's.
type prevVersion int

const (
	prevUnknown prevVersion = iota // the hot set may hold it
	prevRemoved                    // there is none, or it has left the hot set
)

// moveAnswer is what the tries until now have told of the row.
type moveAnswer int

const (
	notMoved   moveAnswer = iota // each try is known to have failed
	maybeMoved                   // the answer to a try was lost, so the row may be moved
)

// errTaken: another worker has the task by now.
var errTaken = errors.New("another worker has claimed the task before its row could be moved")

// postpone makes a postponement: it tries until one try succeeds, or no further one may be made.
func (s *settler) postpone(d *Delivery, back redelivery, member memberPlace) error {
	p := &postponement{s: s, c: s.c, d: d, back: back, member: member, to: task.Row{Ref: task.Ref{ID: d.own.ID, Ver: task.NewVer()},
		DueMS: d.dueMS, NextMS: min(task.MaxDue, s.c.after(max(0, back.delay))), Attempt: back.attempts(d)}}
	err := p.try()
	for rest := retryPause; err != nil && !p.last(err); rest = min(2*rest, maxRetryPause) {
		s.c.o.Report.Error("postpone", err, "tried again while the lease lives")
		wait.For(s.retrying, rest)
		if !s.c.leaseLives(d) {
			break
		}
		err = p.try()
	}
	if err != nil && !errors.Is(err, task.ErrGone) {
		p.giveUp(err)
	}
	return err
}

// last reports whether a try that ended with err is the last.
func (p *postponement) last(err error) bool {
	return errors.Is(err, task.ErrGone) || errors.Is(err, errTaken) || final(err) || p.s.retrying.Err() != nil
}

// try is one pass through both stores: the member is in this worker's batch; the version that the
// row had before is removed; the row is moved; the old member is removed; the new one is added.
func (p *postponement) try() error {
	if p.member == maybeTaken {
		if err := p.reclaim(); err != nil {
			return err
		}
	}
	p.member = maybeTaken // the next try asks again
	ctx, cancel := p.s.call(storeTimeout)
	defer cancel()
	if p.prev == prevUnknown {
		if err := p.removePrevVersion(ctx); err != nil {
			return err
		}
		p.prev = prevRemoved
	}
	asOf, clockErr := p.c.set.Clock(ctx, p.d.batch.p) // before the commit (AsOfBeforeRead)
	failpoint.Hit("postpone/move")

	// The commit point (RowFirst). A crash before it leaves the member in this worker's batch, and the
	// reaper gives it back, without its delay, once the lease has expired. A crash after it leaves the
	// old member in the batch, which the reaper removes then, because no row has its version; and a row
	// that the feeder brings in when its new time is near, or the auditor once it is late.
	moved, err := p.c.store.Move(ctx, p.d.own, p.to)
	if len(task.Unsure(err)) > 0 || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		p.move = maybeMoved
	}
	if err != nil && !errors.Is(err, task.ErrGone) {
		return err
	}
	if !moved && p.move == notMoved {
		return task.ErrGone
	}
	failpoint.Hit("postpone/remove")
	if _, err = p.c.set.Remove(ctx, p.d.batch.p, p.d.batch.token, []task.Ref{p.d.own}); err != nil {
		p.c.o.Report.Error("remove a postponed task", err, "retried until it succeeds")
	}
	if !moved {
		return nil
	}
	failpoint.Hit("postpone/add")
	p.add(ctx, asOf, clockErr)
	failpoint.Hit("postpone/end")
	return nil
}

// reclaim puts the member into this worker's batch if it is in none, as the keeper does after a loss
// of data. A release that met no entry of the member has taken it out of the batch, so the auditor
// may have added it again, and another worker may have claimed it (errTaken). If the row is moved or
// gone, before or after reclaim has read it (task.AddDead), that is no error: Move finds it out.
func (p *postponement) reclaim() error {
	ctx, cancel := p.s.call(storeTimeout)
	defer cancel()
	c, d := p.c, p.d
	asOf, err := c.clockIfWarm(ctx, d.batch.p) // before the row (AsOfBeforeRead)
	if err != nil {
		return err
	}
	exists, err := c.rowExists(ctx, d)
	if err != nil || !exists {
		return err
	}
	c.mu.Lock()
	entry := d.entry()
	c.mu.Unlock()
	outcomes, err := c.set.Add(ctx, d.batch.p, task.AddRequest{AsOf: asOf, Token: d.batch.token, Lease: c.o.Lease, Entries: []task.Entry{entry}})
	if err == nil && outcomes[0] != task.AddClaimed && outcomes[0] != task.AddDead {
		err = errTaken
	}
	return err
}

// removePrevVersion removes the version that the row of d had before, if the row was moved: a
// row names one previous version, and is to name that of d.
func (p *postponement) removePrevVersion(ctx context.Context) error {
	failpoint.Hit("postpone/previous")
	rows, err := p.c.store.Get(ctx, []string{p.d.own.ID})
	if err != nil {
		return err
	}
	if len(rows) == 0 || rows[0].Ref != p.d.own {
		return task.ErrGone
	}
	prev, is := rows[0].Prev()
	if !is {
		return nil
	}
	_, err = p.c.set.Remove(ctx, p.d.batch.p, "", []task.Ref{prev})
	return err
}

// add adds the new version, as of the time that was asked before the row was moved. err is why that
// time is not known; nil: it is known.
func (p *postponement) add(ctx context.Context, asOf task.AsOf, err error) {
	if err == nil {
		e := task.Entry{Ref: p.to.Ref, NextMS: p.to.NextMS, DueMS: p.to.DueMS, Attempt: p.to.Attempt, External: true}
		_, err = p.c.set.Add(ctx, p.d.batch.p, task.AddRequest{AsOf: asOf, Entries: []task.Entry{e}})
	}
	if err != nil && !errors.Is(err, task.ErrCold) { // a new generation reads the row
		p.c.o.Report.Error("add a postponed task", err, "added in a second")
		p.c.o.Later(p.to)
	}
}

// giveUp gives the task back without its delay if its lease lives, or its batch might keep it for as
// long as other tasks of the batch are in hand. If the row may be moved, Options.Later finds out
// whether it was, and adds the new version.
func (p *postponement) giveUp(err error) {
	if p.move == maybeMoved {
		p.c.o.Later(p.to)
	}
	next := "the task was given back when its lease ended, without its delay"
	if p.c.leaseLives(p.d) {
		p.c.queueRelease(p.d.batch, task.ReleaseRequest{Token: p.d.batch.token, Refs: []task.Ref{p.d.own}, Counted: p.back.counted})
		next = "the task is given back without its delay"
	}
	p.c.o.Report.Error("give up postponing", err, next, "id", p.d.own.ID, "maybe_moved", p.move == maybeMoved)
}

// leaseLives reports whether the lease of d lives, by both of this process's clocks.
func (c *Consumer) leaseLives(d *Delivery) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return d.life.inBatch() && now.Before(d.batch.deadline) && now.Round(0).Before(d.batch.ends)
}
