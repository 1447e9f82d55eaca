package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// burial is a task on its way to the dead letters.
type burial struct {
	d      *Delivery    // of the task; it is settled
	reason string       // as task.Burial has it
	text   string       // the last error, likewise
	done   chan<- error // gets the outcome; nil: the consumer buries it by itself, and no caller waits
}

// bury moves a delivery to the dead letters, in a group.
func (s *settler) bury(b burial) {
	s.started()
	if b.done == nil {
		s.c.mu.Lock()
		s.c.unasked++
		s.c.mu.Unlock()
	}
	s.burials.Post(b)
}

// buryGroup moves a group of rows to the dead letters, and then removes their members, as confirmGroup does with rows
// that it deletes. Its outcomes are those of a confirm.
func (s *settler) buryGroup(group []burial) []coalesce.Result[struct{}] {
	ds, refs, rows := make([]*Delivery, len(group)), make([]task.Ref, len(group)), make([]task.Burial, len(group))
	now := s.c.latest().UnixMilli()
	for i, b := range group {
		ds[i], refs[i] = b.d, b.d.own
		rows[i] = task.Burial{Ref: b.d.own, Reason: b.reason, Attempt: b.attempts(), LastError: b.text, DeadMS: now}
	}
	failpoint.Hit("bury/row")

	// The commit point (RowFirst): one transaction writes the dead letters and deletes the rows. A crash before it leaves
	// the members in this worker's batches, and the reaper gives them back, with an attempt counted. A crash after it leaves
	// members without rows, which the reaper removes.
	var moved []bool
	ends := s.c.buriedAs(group, rows)
	err := s.persist("bury", len(rows), func(ctx context.Context) (err error) {
		moved, err = s.buryOrEnd(ctx, rows, ends)
		return err
	})
	if err == nil {
		failpoint.Hit("bury/remove")
		s.removeMembers(ds, refs, moved)
		failpoint.Hit("bury/end")
	}
	outcomes, unasked := make([]error, len(group)), 0
	for i, b := range group {
		if outcomes[i] = s.buried(b, err, err == nil && moved[i]); b.done == nil {
			unasked++
		}
	}
	s.c.mu.Lock()
	s.c.unasked -= unasked
	s.c.mu.Unlock()
	s.c.tellDead(group, outcomes)
	s.complete(ds)
	for i, b := range group {
		if b.done != nil {
			b.done <- outcomes[i]
		}
	}
	return make([]coalesce.Result[struct{}], len(group))
}

// attempts is how many attempts the dead letter tells of. If no caller waits, no caller had the task: the consumer buries it
// before a further attempt begins.
func (b burial) attempts() int {
	if b.done == nil {
		return b.d.failedAttempts
	}
	return b.d.failedAttempts + 1
}

// buried counts or reports what became of b, and returns what its caller is told.
func (s *settler) buried(b burial, err error, moved bool) error {
	switch {
	case moved:
		s.c.figures.buried(b.reason)
		return nil
	case err == nil:
		return fmt.Errorf("bury %q: %w", b.d.own.ID, task.ErrGone) // confirmed by another worker, deleted or rescheduled
	case b.done == nil: // no caller waits
		s.c.o.Report.Error("bury", err, "tried again when the task is claimed again", "id", b.d.own.ID)
	}
	return fmt.Errorf("bury %q: %w", b.d.own.ID, err)
}

// errNoAnswer stands in a dead letter for the error of the last attempt, if no worker has told that.
var errNoAnswer = errors.New("its worker ended, its lease ran out, or it took longer than DeliveryTimeout; or MaxAttempts was larger then")

// exhausted reports whether d has failed as often as MaxAttempts allows, before it is handed out. Under Consumer.mu.
func (c *Consumer) exhausted(d *Delivery) bool {
	return c.o.MaxAttempts > 0 && d.failedAttempts >= c.o.MaxAttempts
}

// buryExhausted moves claimed tasks that have no attempt left to the dead letters. No worker knows why the last attempt failed: that
// worker would have buried the task.
func (c *Consumer) buryExhausted(ds []*Delivery) {
	for _, d := range ds {
		if _, err := d.settle(); err == nil {
			c.settler.bury(burial{d: d, reason: task.ReasonAttempts, text: fmt.Sprintf("attempt %d did not answer: %v", d.failedAttempts, errNoAnswer)})
		}
	}
}
