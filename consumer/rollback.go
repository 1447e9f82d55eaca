package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// rollback gives d back for its caller, as back says, and returns where the outcome will be. before is what the
// settlement was before. If that is timedOut, returnTimedOut has given d back: then this rollback changes nothing, unless
// that call did not reach the hot set.
func (s *settler) rollback(d *Delivery, back redelivery, before settlement) <-chan error {
	s.started()
	done := make(chan error, 1)
	go func() {
		if before == timedOut {
			<-d.returned
		}
		err := s.giveBackUnlessDone(d, back)
		switch {
		case err != nil:
			err = fmt.Errorf("roll back %q: %w", d.own.ID, err)
		case before != timedOut: // the timeout was counted when it gave the delivery back
			s.c.figures.gaveBack(back)
		}
		s.complete([]*Delivery{d})
		done <- err
	}()
	return done
}

// giveBackUnlessDone releases d. If its caller has used ConfirmTx the row is looked at first: the transaction may have
// committed before its caller failed.
func (s *settler) giveBackUnlessDone(d *Delivery, back redelivery) error {
	if d.tx.used() {
		gone, err := s.lookAfterTx(d)
		if err == nil && gone {
			err = task.ErrGone
		}
		if err != nil {
			return err
		}
	}
	return s.release(d, back)
}

// returnTimedOut gives d back, which its caller has had for longer than DeliveryTimeout. The row and its version stay as
// they are, so that a later Confirm still counts. Until the caller settles d it is in the
// caller's hands, and nothing is claimed in its place.
func (s *settler) returnTimedOut(d *Delivery) {
	s.c.mu.Lock()
	s.c.settling++
	s.c.unasked++
	s.c.mu.Unlock()
	go func() {
		err := s.release(d, redelivery{counted: true})
		if err == nil {
			s.c.figures.rolledBack.Add(1)
		} else if !errors.Is(err, task.ErrGone) {
			s.c.o.Report.Error("give back after DeliveryTimeout", err, "given back when its lease ends")
		}
		s.c.mu.Lock()
		s.c.leaveBatch(d)
		s.c.unasked--
		s.c.noteComplete(1)
		s.c.mu.Unlock()
		close(d.returned)
		s.c.nudgeClaimer()
	}()
}

// release gives one member back, and tries until the hot set answers, even if the lease has expired by this process's
// clock. An extension whose answer was lost may have kept the lease alive, and then no other process
// can give the task back with its delay. If the lease is over, the call changes nothing.
func (s *settler) release(d *Delivery, back redelivery) error {
	own := releasing{d.own, sharedRelease{d.batch.token, back.delay, back.counted}}
	for rest := retryPause; ; rest = min(2*rest, maxRetryPause) {
		answer := <-s.releases[d.batch.p].Go(own)
		err := answer.Err
		if err == nil {
			return s.released(d, back, answer.Value)
		}
		if final(err) || s.retrying.Err() != nil { // the reaper gives it back
			return s.goneIfNoRow(d)
		}
		if !errors.Is(err, task.ErrCold) {
			s.c.o.Report.Error("roll back", err, "tried again")
		}
		wait.For(s.retrying, rest)
	}
}

// released does what is left to do after the hot set has answered a release.
func (s *settler) released(d *Delivery, back redelivery, o task.ReleaseOutcome) error {
	switch o {
	case task.ReleaseWaiting, task.ReleaseElsewhere:
		failpoint.Hit("rollback/end")
		return nil
	case task.ReleaseDead:
		return task.ErrGone
	case task.ReleaseBeyond:
		return s.postpone(d, back, stillInBatch)
	case task.ReleaseAbsent: // the hot set lost its entry, so that only the row can keep the delay
		if s.c.leaseLives(d) {
			return s.postpone(d, back, maybeTaken)
		}
		return s.goneIfNoRow(d)
	default:
		return s.goneIfNoRow(d)
	}
}

// goneIfNoRow returns task.ErrGone if the row of d does not exist in d's version. Nil: it does, so
// that the task is offered again.
func (s *settler) goneIfNoRow(d *Delivery) error {
	ctx, cancel := s.call(storeTimeout)
	defer cancel()
	exists, err := s.c.rowExists(ctx, d)
	if err == nil && !exists {
		return task.ErrGone
	}
	return err
}

// rowExists reports whether the row of d exists in d's version.
func (c *Consumer) rowExists(ctx context.Context, d *Delivery) (bool, error) {
	refs, err := c.store.Versions(ctx, []string{d.own.ID})
	return len(refs) > 0 && refs[0] == d.own, err
}
