package consumer

import (
	"errors"
	"fmt"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// rollback gives d back for its caller, as back says, and returns where the outcome will be. before is what the
// settlement was before: if it had timed out the delivery is given back already, and this
// rollback changes nothing, except if that did not reach the hot set.
func (s *settler) rollback(d *Delivery, back giveBack, before settlement) <-chan error {
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
func (s *settler) giveBackUnlessDone(d *Delivery, back giveBack) error {
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

// returnTimedOut gives back what its caller has had for too long. The row and its version stay as
// they are, so that a Confirm that comes later still counts. Until the caller settles d it is in the
// caller's hands, and nothing is claimed in its place.
func (s *settler) returnTimedOut(d *Delivery) {
	s.c.mu.Lock()
	s.c.settling++
	s.c.unasked++
	s.c.mu.Unlock()
	go func() {
		err := s.release(d, giveBack{counted: true})
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

// release gives one member back, and tries until the hot set answers. It does so also when
// the lease has expired by this process's clock: an extension whose answer was lost may have kept
// the lease alive, and then no other process can give the task back with its delay. If the
// lease has really expired, the member is elsewhere, and the call changes nothing.
func (s *settler) release(d *Delivery, back giveBack) error {
	own := releasing{d.own, sharedRelease{d.batch.token, back.delay, back.counted}}
	for wait := retryPause; ; wait = min(2*wait, maxRetryPause) {
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
		pause(s.retrying, wait)
	}
}

// released does what is left to do after the hot set has answered a release.
func (s *settler) released(d *Delivery, back giveBack, o task.ReleaseOutcome) error {
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
	refs, err := s.c.store.Versions(ctx, []string{d.own.ID})
	if err == nil && (len(refs) == 0 || refs[0] != d.own) {
		return task.ErrGone
	}
	return err
}
