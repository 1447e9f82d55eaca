package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

const (
	asyncLimit    = 200_000                // confirms that may wait before ConfirmAsync blocks
	confirmsAtAll = 8                      // grouped confirms under way at once, of either kind
	retryPause    = 200 * time.Millisecond // after the first failure, then twice as long each time
	maxRetryPause = 5 * time.Second
	storeTimeout  = 15 * time.Second // of one call: longer than the store's own tries
	hotTimeout    = 2 * time.Second  // the same of the hot set
)

// In a burst, while tasks that are due wait to be delivered, the confirms of ConfirmAsync
// yield to them: one group of these confirms goes each yieldPace, or less often where the store is
// busy with those of other processes. A row that is deleted takes as long as
// five deliveries. So a burst is delivered first, and then confirmed with all that the
// servers give: of 300,000 tasks due at once the last comes after 1.27 s on two cores, and
// after 3.7 s if nothing yields (docs/performance.md). What takes longer than burstFor is a backlog, which
// confirms bound anyway, and of which no more is to be delivered again after a crash than
// need be. So is what is due while claims get nothing for starvedFor: in a full hot set
// only confirms make room for it.
const (
	burstFor   = 5 * time.Second
	yieldLimit = asyncLimit * 9 / 10 // if more confirms wait than that, they do not yield
	yieldPace  = 150 * time.Millisecond
)

// settler takes the answers of callers.
//
// Confirm: the row first, then the hot set (RowFirst). Once the row is gone the answer is nil:
// the Set retries a removal that fails until it succeeds (removal.Retrier). While the store is
// away the group is tried again for as long as the consumer lives. The keeper extends the
// leases meanwhile, so what was done is not done twice.
//
// Rollback: the hot set alone, where it moves the member back; beyond the horizon,
// or if the hot set lost the member's record, the row gets another due time and
// version, and the old member is removed (postpone.go).
//
// Its goroutines exist while answers are under way. When the drain is over, patient
// ends, and what is tried again is not any more; then urgent ends, and what is
// under way is cut off. An answer that comes later is tried once.
type settler struct {
	c        *Consumer
	confirms coalesce.Group[answer, struct{}] // that somebody waits for
	behind   coalesce.Group[answer, struct{}] // the others
	slots    chan struct{}                    // of ConfirmAsync

	patient, urgent context.Context
	hurry, cut      context.CancelFunc
}

// answer is a caller's Confirm on its way.
type answer struct {
	d    *Delivery
	done chan<- error // nil: ConfirmAsync
}

func (s *settler) init(c *Consumer) {
	s.c = c
	s.confirms = coalesce.Group[answer, struct{}]{Parallel: confirmsAtAll, Flush: s.flush}
	s.behind = coalesce.Group[answer, struct{}]{Parallel: confirmsAtAll, Worth: yieldLimit, Patience: yieldPace,
		Yields: c.backlog.burst, Flush: s.flush}
	s.slots = make(chan struct{}, asyncLimit)
	s.patient, s.hurry = context.WithCancel(context.Background())
	s.urgent, s.cut = context.WithCancel(context.Background())
}

// stop makes what is under way end soon, and waits for that.
func (s *settler) stop() {
	s.hurry()
	soon := time.AfterFunc(hotTimeout, s.cut)
	defer soon.Stop()
	<-s.answersDone()
	s.cut()
}

// answersDone returns a channel that is closed when no answer is under way. One at a time waits.
func (s *settler) answersDone() <-chan struct{} {
	quiet := make(chan struct{})
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.answering > 0 {
		s.c.answersDone = quiet
	} else {
		close(quiet)
	}
	return quiet
}

// call returns a context for one call to a store. It has ended while the drain cuts
// off what is under way: a further call each would take its whole time there, too.
func (s *settler) call(d time.Duration) (context.Context, context.CancelFunc) {
	s.c.mu.Lock()
	after := s.c.stage == closed // Run has returned: this answer has its one try
	s.c.mu.Unlock()
	if after {
		return context.WithTimeout(context.Background(), d)
	}
	return context.WithTimeout(s.urgent, d)
}

func (s *settler) confirm(a answer) {
	s.begin()
	if a.done == nil {
		s.behind.Post(a)
		return
	}
	s.confirms.Post(a)
}

// begin counts an answer that is under way.
func (s *settler) begin() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.answering++
	s.c.answers.add(1)
}

// end notes that answers have arrived.
func (s *settler) end(ds []*Delivery) {
	c := s.c
	c.mu.Lock()
	for _, d := range ds {
		c.forget(d)
		c.answered(d)
	}
	s.landed(len(ds))
	c.mu.Unlock()
	c.look()
}

// landed notes that n answers are under way no more. Under mu.
func (s *settler) landed(n int) {
	c := s.c
	c.answering -= n
	if c.answering == 0 && c.answersDone != nil {
		close(c.answersDone)
		c.answersDone = nil
	}
}

// flush confirms a group: one deletion of rows, then one removal a batch.
func (s *settler) flush(as []answer) []coalesce.Result[struct{}] {
	ds, refs := make([]*Delivery, len(as)), make([]task.Ref, len(as))
	for i, a := range as {
		ds[i], refs[i] = a.d, a.d.own
	}
	failpoint.Hit("confirm/row")
	deleted, err := s.deleteRows(refs)
	if err == nil {
		failpoint.Hit("confirm/forget")
		s.removeMembers(ds, refs, deleted)
		failpoint.Hit("confirm/end")
	}
	n := 0
	for _, d := range deleted {
		if d {
			n++
		}
	}
	s.c.figures.confirmed.Add(uint64(n))
	s.end(ds)
	for i, a := range as {
		outcome := err
		if err == nil && !deleted[i] {
			outcome = task.ErrGone
		}
		a.tell(s, outcome)
	}
	return make([]coalesce.Result[struct{}], len(as))
}

// tell hands the outcome to who waits, or reports it.
func (a answer) tell(s *settler, err error) {
	if err != nil {
		err = fmt.Errorf("confirm %q: %w", a.d.own.ID, err)
	}
	if a.done != nil {
		a.done <- err
		return
	}
	<-s.slots
	if errors.Is(err, task.ErrGone) { // nothing failed, but what was done may have been done twice, or for a task that was deleted
		s.c.o.Report.Info("a confirm came too late: the task was confirmed by another worker, deleted or rescheduled before",
			"id", a.d.own.ID, "attempt", a.d.tries+1)
		return
	}
	s.c.o.Report.Error("confirm", err, "the task is delivered again")
}

// removeMembers takes members whose rows are gone out of the hot set. A row that somebody
// else has deleted may be one of which the hot set is still to be told: its member is removed
// without a token first, which notes that a worker had it, so that its Delete says so
// (ErrClaimed; lease.pml). If that fails the member stays in its batch, and the note is
// made later, by the repeated removal or when the batch's lease is over.
func (s *settler) removeMembers(ds []*Delivery, refs []task.Ref, deleted []bool) {
	byBatch, others := map[*batch][]task.Ref{}, map[*batch][]task.Ref{}
	for i, d := range ds {
		if byBatch[d.batch] = append(byBatch[d.batch], refs[i]); !deleted[i] {
			others[d.batch] = append(others[d.batch], refs[i])
		}
	}
	for b, refs := range byBatch {
		if gone := others[b]; len(gone) > 0 && !s.remove(b.p, "", gone) {
			refs = slices.DeleteFunc(refs, func(r task.Ref) bool { return slices.Contains(gone, r) })
		}
		if len(refs) > 0 {
			s.remove(b.p, b.token, refs)
		}
	}
}

// remove removes members from one partition, and reports whether that is done.
func (s *settler) remove(p int, token string, refs []task.Ref) bool {
	ctx, cancel := s.call(hotTimeout)
	defer cancel()
	_, err := s.c.set.Remove(ctx, p, token, refs)
	if err != nil {
		s.c.o.Report.Error("remove confirmed tasks", err, "retried until it succeeds", "tasks", len(refs))
	}
	return err == nil
}

// deleteRows tries until the store answers, or nobody is patient any more: waiting costs
// little, and giving up makes others do again what was done. A row
// that an earlier try may have deleted, and that is missing later, was deleted here,
// unless it was moved.
func (s *settler) deleteRows(refs []task.Ref) ([]bool, error) {
	unsure := map[task.Ref]bool{}
	for wait := retryPause; ; wait = min(2*wait, maxRetryPause) {
		ctx, cancel := s.call(storeTimeout)
		deleted, err := s.c.store.Delete(ctx, refs)
		cancel()
		if err == nil {
			if err = s.count(refs, deleted, unsure); err == nil {
				return deleted, nil
			}
		}
		if final(err) || s.patient.Err() != nil {
			return nil, err
		}
		doubtful := task.Unsure(err)
		if errors.Is(err, context.DeadlineExceeded) { // nobody heard how it ended
			doubtful = refs
		}
		for _, r := range doubtful {
			unsure[r] = true
		}
		s.c.o.Report.Error("confirm", err, "tried again", "tasks", len(refs))
		pause(s.patient, wait)
	}
}

// count counts as deleted what a try may have deleted of which nobody heard, and is
// missing now. An error leaves all of it, and what was deleted now, to the next try.
func (s *settler) count(refs []task.Ref, deleted []bool, unsure map[task.Ref]bool) error {
	var ids []string
	for i, r := range refs {
		if !deleted[i] && unsure[r] {
			ids = append(ids, r.ID)
		}
	}
	stand := map[string]task.Row{}
	if len(ids) > 0 {
		ctx, cancel := s.call(storeTimeout)
		defer cancel()
		rows, err := s.c.store.Get(ctx, ids)
		if err != nil {
			for i, r := range refs {
				unsure[r] = unsure[r] || deleted[i]
			}
			return err
		}
		for _, r := range rows {
			stand[r.ID] = r
		}
	}
	for i, r := range refs {
		deleted[i] = deleted[i] || unsure[r] && !task.Moved(r, stand[r.ID])
		delete(unsure, r) // one delivery of it was confirmed, no more
	}
	return nil
}

// final reports whether waiting cannot mend err, for a worker that has been running: its
// store was closed, or is another one than it was. Nothing else is known to be: a right
// that was revoked, a password that is rotated, a table that is swapped or restored come
// back, and so does a server whose errors are in no list. A delivery whose answer waits is
// held, and counted as confirming; one whose answer is given up is handled again, and its
// next answer would meet the same error.
func final(err error) bool {
	return errors.Is(err, task.ErrClosed) || errors.Is(err, task.ErrMismatch) || errors.Is(err, task.ErrInvalid)
}

// rollback gives d back for its caller; late: once the timeout has done so. That answer
// changes nothing then, but for one that did not reach the hot set.
func (s *settler) rollback(d *Delivery, delay time.Duration, late bool) <-chan error {
	s.begin()
	done := make(chan error, 1)
	go func() {
		if late {
			<-d.back
		}
		err := s.releaseOne(d, delay)
		switch {
		case err != nil:
			err = fmt.Errorf("roll back %q: %w", d.own.ID, err)
		case !late: // else it was counted when the timeout gave it back
			s.c.figures.rolledBack.Add(1)
		}
		s.end([]*Delivery{d})
		done <- err
	}()
	return done
}

// timeOut gives back what its caller has held for too long. The row and its version stay as
// they are, so that a Confirm that comes later still counts; until the caller answers d is
// in its hands, and nothing is claimed in its place.
func (s *settler) timeOut(d *Delivery) {
	s.c.mu.Lock()
	s.c.answering++
	s.c.returning++
	s.c.mu.Unlock()
	go func() {
		err := s.releaseOne(d, 0)
		if err == nil {
			s.c.figures.rolledBack.Add(1)
		} else if !errors.Is(err, task.ErrGone) {
			s.c.o.Report.Error("give back after DeliveryTimeout", err, "given back when its lease ends")
		}
		s.c.mu.Lock()
		s.c.forget(d)
		s.c.returning--
		s.landed(1)
		s.c.mu.Unlock()
		close(d.back)
		s.c.look()
	}()
}

// releaseOne gives one member back, and tries until the hot set answers. It does so also when
// the lease is over by this process's clock: an extension whose answer was lost may have kept
// the lease alive, and then no other process can give the task back with its delay. If the
// lease is really over, the member stands elsewhere, and the call changes nothing.
func (s *settler) releaseOne(d *Delivery, delay time.Duration) error {
	back := task.ReleaseRequest{Token: d.batch.token, Refs: []task.Ref{d.own}, Delay: delay, Counted: true}
	for wait := retryPause; ; wait = min(2*wait, maxRetryPause) {
		ctx, cancel := s.call(hotTimeout)
		failpoint.Hit("rollback/release")
		answers, err := s.c.set.Release(ctx, d.batch.p, back)
		cancel()
		if err == nil {
			return s.settleBack(d, delay, answers[0])
		}
		if final(err) || s.patient.Err() != nil { // the reaper gives it back
			return s.stands(d)
		}
		if !errors.Is(err, task.ErrCold) {
			s.c.o.Report.Error("roll back", err, "tried again")
		}
		pause(s.patient, wait)
	}
}

func (s *settler) settleBack(d *Delivery, delay time.Duration, a task.Answer) error {
	switch a {
	case task.Waiting, task.Elsewhere:
		failpoint.Hit("rollback/end")
		return nil
	case task.Dead:
		return task.ErrGone
	case task.Beyond:
		return s.postpone(d, max(0, delay), true)
	case task.Absent: // the hot set lost its record, so that only the row can keep the delay
		if s.c.holds(d) {
			return s.postpone(d, max(0, delay), false)
		}
		return s.stands(d)
	default:
		return s.stands(d)
	}
}

// stands tells whether the row is there still: then it is offered again.
func (s *settler) stands(d *Delivery) error {
	ctx, cancel := s.call(storeTimeout)
	defer cancel()
	refs, err := s.c.store.Versions(ctx, []string{d.own.ID})
	if err == nil && (len(refs) == 0 || refs[0] != d.own) {
		return task.ErrGone
	}
	return err
}

// latest is no earlier than what the hot set's clock says now: a delay is not cut
// short.
func (c *Consumer) latest() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sight.latest()
}
