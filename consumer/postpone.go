package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// postponement is a Rollback with a delay that the hot set cannot keep: the row gets another
// due time and version, and the feeder or Add brings that into the hot set when its time is
// near.
//
// Protocol of a try: remove the version that the row had before; move the row (the commit
// point); remove the old member; add the new one.
//
// What fails and is not final is tried again, as a confirm is, until the drain is over. All
// tries move the row to the same version, so that one whose answer was lost is not made
// twice. If the answer to a try was lost, and the row is gone by the next one, it counts as
// moved: most likely it was, and the task was delivered or deleted since. A try that is known
// to have failed counts for nothing. A row that is moved late must not be taken from
// another worker, so there is no try once the lease is over, and each begins by asking the hot
// set whether the member is in this worker's batch still, unless a release has just told so
// (docs/model/postpone.pml). What cannot be done
// is reported, and the task is given back without its delay.
//
// One goroutine owns it.
type postponement struct {
	*settler
	d     *Delivery
	to    task.Row
	swept bool // the previous version has left the hot set
	lost  bool // the answer to a Move was, so the row may be moved
}

// errTaken: another worker has the task by now.
var errTaken = errors.New("another worker has claimed the task before its row could be moved")

// postpone makes a postponement. inBatch: the hot set has just told that d's member is in its
// batch.
func (s *settler) postpone(d *Delivery, delay time.Duration, inBatch bool) error {
	p := &postponement{settler: s, d: d, to: task.Row{Ref: task.Ref{ID: d.own.ID, Ver: task.NewVer()}, DueMS: d.dueMS, Attempt: d.tries + 1,
		NextMS: min(task.MaxDue, s.c.latest().Add(delay).UnixMilli()+1)}}
	var err error
	if !inBatch {
		err = p.held()
	}
	if err == nil {
		err = p.try()
	}
	for wait := retryPause; err != nil && !p.over(err); wait = min(2*wait, maxRetryPause) {
		s.c.o.Report.Error("postpone", err, "tried again while the lease lives")
		pause(s.patient, wait)
		if !s.c.holds(d) {
			break
		}
		if held := p.held(); held != nil {
			err = held
			continue
		}
		err = p.try()
	}
	if err != nil && !errors.Is(err, task.ErrGone) {
		p.giveUp(err)
	}
	return err
}

// over reports whether a try that ended with err is the last.
func (p *postponement) over(err error) bool {
	return errors.Is(err, task.ErrGone) || errors.Is(err, errTaken) || final(err) || p.patient.Err() != nil
}

// try does all of it once.
func (p *postponement) try() error {
	ctx, cancel := p.call(storeTimeout)
	defer cancel()
	if !p.swept {
		if err := p.removePrevVersion(ctx, p.d); err != nil {
			return err
		}
		p.swept = true
	}
	asOf, clockErr := p.c.set.Clock(ctx, p.d.batch.p)
	failpoint.Hit("postpone/move")
	moved, err := p.c.store.Move(ctx, p.d.own, p.to)
	p.lost = p.lost || len(task.Unsure(err)) > 0 || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	if err != nil && !errors.Is(err, task.ErrGone) {
		return err
	}
	if !moved && !p.lost {
		return task.ErrGone
	}
	failpoint.Hit("postpone/remove")
	_, err = p.c.set.Remove(ctx, p.d.batch.p, p.d.batch.token, []task.Ref{p.d.own})
	if err != nil {
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

// add adds the new version, by the time that was asked before the row was moved.
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

// removePrevVersion removes the version that the row of d had before, if the row was moved: a
// row names one previous version, and is to name that of d.
func (s *settler) removePrevVersion(ctx context.Context, d *Delivery) error {
	failpoint.Hit("postpone/sweep")
	rows, err := s.c.store.Get(ctx, []string{d.own.ID})
	if err != nil {
		return err
	}
	if len(rows) == 0 || rows[0].Ref != d.own {
		return task.ErrGone
	}
	prev, is := rows[0].Prev()
	if !is {
		return nil
	}
	_, err = s.c.set.Remove(ctx, d.batch.p, "", []task.Ref{prev})
	return err
}

// holds reports whether the lease of d lives, by both of this process's clocks.
func (c *Consumer) holds(d *Delivery) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return !d.over && now.Before(d.batch.deadline) && now.Round(0).Before(d.batch.ends)
}

// held sees to it that the member is in this worker's batch, as a keeper does after a loss
// of data: a release that met no record of it has taken it out, so that the auditor may have
// added it again, and another worker claimed it (errTaken). Of a row that is moved, or gone,
// Move tells, also if that came to pass after this has read it (task.Dead).
func (p *postponement) held() error {
	ctx, cancel := p.call(storeTimeout)
	defer cancel()
	c, d := p.c, p.d
	asOf, err := c.set.Clock(ctx, d.batch.p)
	if err == nil && asOf.Generation == 0 {
		err = task.ErrCold
	}
	if err != nil {
		return err
	}
	refs, err := c.store.Versions(ctx, []string{d.own.ID})
	if err != nil || len(refs) == 0 || refs[0] != d.own {
		return err
	}
	c.mu.Lock()
	entry := d.entry()
	c.mu.Unlock()
	answers, err := c.set.Add(ctx, d.batch.p, task.AddRequest{AsOf: asOf, Token: d.batch.token, Lease: c.o.Lease, Entries: []task.Entry{entry}})
	if err == nil && answers[0] != task.Claimed && answers[0] != task.Dead {
		err = errTaken
	}
	return err
}

// giveUp gives the task back without its delay, if it is this worker's still: else its batch
// might keep it for as long as others of it are in hand. A row that may be moved is added as
// soon as it is known to be.
func (p *postponement) giveUp(err error) {
	if p.lost {
		p.c.o.Later(p.to)
	}
	next := "the task was given back when its lease ended, without its delay"
	if p.c.holds(p.d) {
		p.c.owe(p.d.batch, task.ReleaseRequest{Token: p.d.batch.token, Refs: []task.Ref{p.d.own}, Counted: true})
		next = "the task is given back without its delay"
	}
	p.c.o.Report.Error("give up postponing", err, next, "id", p.d.own.ID, "maybe_moved", p.lost)
}
