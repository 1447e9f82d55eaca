package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// Why a task is a dead letter (DeadTask.Reason). A handler that gives its task up adds a colon, a space and its own text to
// ReasonDiscarded.
const (
	ReasonExpired   = task.ReasonExpired   // it would have been delivered later than Task.Expires
	ReasonAttempts  = task.ReasonAttempts  // its last attempt failed
	ReasonDiscarded = task.ReasonDiscarded // its handler gave it up
)

const (
	// deadPage is how many dead letters the first page of a list looks at, and how many one call deletes. Each later page looks at four
	// times as many, up to mostPage: a filter by reason may have to look at very many.
	deadPage = 100
	// deadClockWait is how long RequeueDead waits for the clock of the hot set.
	deadClockWait = time.Second
	// deadSlackMS is by how much a worker may be ahead of the hot set's clock when it notes a death: a long round trip.
	deadSlackMS = 100
)

// DeadTask is a dead letter: a task that ended without success, and is kept until PurgeDead or a requeue takes it. Its ID is free for
// a new task, so that several dead letters may have one ID.
type DeadTask struct {
	Task
	Reason    string // ReasonExpired, ReasonAttempts, or what begins with ReasonDiscarded
	LastError string // what its last delivery failed with, cut to 1024 bytes; empty if it never failed
	// Attempts is how many of its attempts failed. The attempt that failed last, or was discarded, is counted (its Delivery.Attempt is
	// Attempts); a Snooze is not. Of a task that expired these are the attempts that failed before: 0 if there was none. A Reschedule
	// forgets the attempts before it, and so does each other call that begins with attempt 1 again.
	Attempts int
	Created  time.Time // when Create stored it
	Died     time.Time // by the hot set's clock

	at task.DeadCursor // where it lies
}

// DeadFilter selects dead letters, for ListDead, RequeueDead and PurgeDead. A dead letter matches if it matches each field that is set. The
// zero DeadFilter matches all.
type DeadFilter struct {
	// IDPrefix is how the ID begins, compared as bytes. It is valid UTF-8, without NUL, and not longer than an ID.
	IDPrefix string
	// Reason is how DeadTask.Reason begins: ReasonDiscarded are all that handlers have given up.
	Reason string
	// DeadFrom and DeadBefore bound DeadTask.Died. DeadFrom itself matches, DeadBefore itself does not. A zero time is no bound.
	DeadFrom, DeadBefore time.Time
	// After is for pages of a list: the DeadTask.Cursor of the last dead letter of the page before. ListDead begins after the place of that
	// one, which need not be a dead letter any more, so that a page costs the same wherever it lies. RequeueDead and PurgeDead refuse it.
	After string
}

// check returns f with its times in unix milliseconds, and the place after which a list begins. The error matches ErrInvalid.
func (f DeadFilter) check() (task.DeadFilter, task.DeadCursor, error) {
	from, before, err := timeBounds("DeadFilter.DeadFrom", f.DeadFrom, "DeadFilter.DeadBefore", f.DeadBefore)
	if len(f.Reason) > task.MaxReason {
		err = errors.Join(err, fmt.Errorf("%w: DeadFilter.Reason %.32q... is %d bytes long, at most %d are allowed", ErrInvalid, f.Reason, len(f.Reason), task.MaxReason))
	}
	after, noPlace := placeOf(ofDead, f.After)
	return task.DeadFilter{IDPrefix: f.IDPrefix, Reason: f.Reason, FromMS: from, BeforeMS: before}, task.DeadCursor{DeadMS: after.ms, Ref: after.ref},
		errors.Join(checkPrefix("DeadFilter.IDPrefix", f.IDPrefix), err, named("DeadFilter.After", noPlace))
}

// unpaged is check for a call that changes what matches, and so has no pages.
func (f DeadFilter) unpaged() (task.DeadFilter, error) {
	filter, _, err := f.check()
	return filter, errors.Join(err, notAfter("DeadFilter.After", f.After != ""))
}

// ListDead returns the dead letters that match f, in the order in which they died; with an IDPrefix by ID. DeadFilter.After begins a later
// page. ListDead reads page by page, and no further than the caller's loop goes. What dies or is requeued while it runs may be missing.
//
// An error ends the sequence, and comes with a zero DeadTask: ErrInvalid if f breaks a rule, the cause if ctx ends or the store
// does not answer. The headers of a dead letter that were changed by hand, so that they cannot be read, are an error too.
func (s *Scheduler) ListDead(ctx context.Context, f DeadFilter) iter.Seq2[DeadTask, error] {
	return func(yield func(DeadTask, error) bool) {
		filter, after, err := f.check()
		if err != nil {
			yield(DeadTask{}, fmt.Errorf("list dead letters: %w", err))
			return
		}
		for d, err := range s.deadLetters(ctx, filter, after) {
			var out DeadTask
			if err == nil {
				out, err = deadTask(d)
			}
			if err != nil {
				err = fmt.Errorf("list dead letters: %w", err)
			}
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

func deadTask(d task.Dead) (DeadTask, error) {
	headers, err := task.DecodeHeaders(d.Headers)
	if err != nil {
		return DeadTask{}, fmt.Errorf("task %q: %w", d.ID, err)
	}
	return DeadTask{Task: Task{ID: d.ID, Due: time.UnixMilli(d.DueMS).UTC(), Payload: d.Payload, Headers: headers, Expires: task.Expiry(d.ExpiresMS)},
		Reason: d.Reason, LastError: d.LastError, Attempts: d.Attempt, Created: time.UnixMilli(d.CreatedMS).UTC(),
		Died: time.UnixMilli(d.DeadMS).UTC(), at: d.Cursor()}, nil
}

// deadLetters reads page by page. An error is the last that it yields.
func (s *Scheduler) deadLetters(ctx context.Context, f task.DeadFilter, after task.DeadCursor) iter.Seq2[task.Dead, error] {
	return func(yield func(task.Dead, error) bool) {
		page := task.DeadPage{More: true, Next: after}
		for limit := deadPage; page.More; limit = min(4*limit, mostPage) {
			var err error
			if page, err = s.store.Dead(ctx, f, page.Next, limit); err != nil {
				yield(task.Dead{}, err)
				return
			}
			for _, d := range page.Dead {
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

// Requeue makes a task of a dead letter again. The task is due at due, or at once if that is the zero time. It has the payload and headers of the
// dead letter, no Expires, and Attempt 1. If several dead letters have that ID, Requeue takes the one that died last. Nil: the task is
// delivered as one of Create is.
//
// ErrNotFound: no dead letter has that ID. ErrExists: a task of that ID exists, and nothing was changed. ErrPaused (Pause): nothing was
// changed. ErrInvalid: the ID or due breaks a rule. After any other error the outcome is unknown; if a repeated call answers ErrExists,
// or ErrNotFound, the first one has requeued it, or another process has.
func (s *Scheduler) Requeue(ctx context.Context, id string, due time.Time) error {
	if due.IsZero() {
		due = time.Now()
	}
	dueMS, err := task.DueMS(due)
	if err = errors.Join(err, task.CheckID(id)); err != nil {
		return fmt.Errorf("requeue: %w", err)
	}
	if err := s.checkProducers(ctx); err != nil {
		return fmt.Errorf("requeue: %w", err)
	}
	for done := false; !done; {
		last, err := s.lastDead(ctx, id)
		if err == nil {
			done, err = s.requeue(ctx, last, dueMS)
		}
		if err != nil {
			return fmt.Errorf("requeue: %w", err)
		}
	}
	return nil
}

// lastDead returns the dead letter of id that died last.
func (s *Scheduler) lastDead(ctx context.Context, id string) (last task.Dead, err error) {
	for d, err := range s.deadLetters(ctx, task.DeadFilter{IDPrefix: id}, task.DeadCursor{}) {
		if err != nil {
			return last, err
		}
		if d.ID != id {
			break // in the order of IDs those of id come first
		}
		if last.ID == "" || last.DeadMS < d.DeadMS {
			last = d
		}
	}
	if last.ID == "" {
		return last, &IDError{NotFound: []string{id}}
	}
	return last, nil
}

// requeue makes a task of one dead letter. It returns false if that is none any more.
func (s *Scheduler) requeue(ctx context.Context, d task.Dead, dueMS int64) (bool, error) {
	to := task.Row{Ref: task.Ref{ID: d.ID, Ver: task.NewVer()}, NextMS: dueMS, DueMS: dueMS, CreatedMS: d.CreatedMS,
		Payload: d.Payload, Headers: d.Headers, Size: len(d.Payload) + len(d.Headers)}
	parts := s.adds.Stamp(ctx, []task.Row{to}) // before the commit (AsOfBeforeRead)
	failpoint.Hit("requeue/row")

	// The commit point (RowFirst). A crash before it leaves the dead letter. A crash after it leaves a row that the hot set may
	// not hold, as after Create: the feeder or the auditor adds it.
	was, err := s.store.Requeue(ctx, d.Ref, to)
	if err != nil || !was {
		return was, err
	}
	s.counts.requeued.Add(1)
	failpoint.Hit("requeue/add")
	s.adds.Add(parts)
	failpoint.Hit("requeue/end")
	return true, nil
}

// RequeueOptions are options of RequeueDead.
type RequeueOptions struct {
	// Due is when the first of the tasks is due. The zero time is now.
	Due time.Time
	// Rate is how many of the tasks fall due in a second, so that a wave of them does not meet what has failed before. Their due
	// times are spread; the call does not wait. 0: all of them are due at once.
	Rate float64
}

// RequeueDead makes tasks of all dead letters that match f and had died when the call began, as Requeue does. A task that dies again
// meanwhile stays dead. RequeueDead returns how many it has requeued.
//
// ErrExists: tasks with the IDs that an IDError names exist, so their dead letters stay, and all others were requeued. ErrPaused: a Pause came,
// perhaps when some were requeued. ErrInvalid: f or o breaks a rule. After any other error a repeated call goes on with those that are left.
func (s *Scheduler) RequeueDead(ctx context.Context, f DeadFilter, o RequeueOptions) (n int, err error) {
	filter, err := f.unpaged()
	first, wrong := o.check()
	if err = errors.Join(err, wrong); err != nil {
		return 0, fmt.Errorf("requeue dead letters: %w", err)
	}
	if now := s.deadUntil(ctx); filter.BeforeMS == 0 || filter.BeforeMS > now {
		filter.BeforeMS = now
	}
	living := &IDError{}
	for d, err := range s.deadLetters(ctx, filter, task.DeadCursor{}) {
		is := false
		if err == nil {
			err = s.checkProducers(ctx)
		}
		if err == nil {
			is, err = s.requeue(ctx, d, o.dueMS(first, n))
		}
		switch {
		case errors.Is(err, ErrExists):
			living.Exists = append(living.Exists, d.ID)
		case err != nil:
			return n, fmt.Errorf("requeue dead letters, after %d: %w", n, err)
		case is:
			n++
		}
	}
	if len(living.Exists) > 0 {
		return n, fmt.Errorf("requeue dead letters, all except %d: %w", len(living.Exists), living)
	}
	return n, nil
}

// deadUntil is a time, in unix milliseconds, before which all have died that are dead letters now. Workers note when a task died by the clock
// of the hot set, which they know to within a round trip; one that is not reached has clocks like this process's.
func (s *Scheduler) deadUntil(ctx context.Context) int64 {
	ctx, cancel := context.WithTimeout(ctx, deadClockWait)
	defer cancel()
	return s.presentTime(ctx).UnixMilli() + deadSlackMS
}

// check returns when the first task is due, in unix milliseconds.
func (o RequeueOptions) check() (int64, error) {
	var err error
	if !(o.Rate >= 0) { // NaN too
		err = fmt.Errorf("%w: RequeueOptions.Rate is %v, want 0 or more tasks in a second", ErrInvalid, o.Rate)
	}
	if o.Due.IsZero() {
		return time.Now().UnixMilli(), err
	}
	ms, wrong := task.DueMS(o.Due)
	return ms, errors.Join(err, named("RequeueOptions.Due", wrong))
}

// dueMS is when the task after n others is due.
func (o RequeueOptions) dueMS(first int64, n int) int64 {
	if o.Rate == 0 {
		return first
	}
	later := float64(n) / o.Rate * 1000
	if later >= float64(task.MaxDue-first) {
		return task.MaxDue
	}
	return first + int64(later)
}

// PurgeDead deletes the dead letters that match f, and returns how many it deleted, also with an error. It deletes some at a time, and
// may be repeated. To delete all, set DeadBefore to now. ErrInvalid: f breaks a rule, or is the zero DeadFilter.
func (s *Scheduler) PurgeDead(ctx context.Context, f DeadFilter) (n int, err error) {
	filter, err := f.unpaged()
	if f == (DeadFilter{}) {
		err = fmt.Errorf("%w: DeadFilter is zero, which would delete all dead letters; for that, set DeadBefore to now", ErrInvalid)
	}
	if err == nil {
		n, err = s.purgeDead(ctx, filter)
	}
	if err != nil {
		return n, fmt.Errorf("purge dead letters, %d deleted: %w", n, err)
	}
	return n, nil
}

// purgeDead deletes by time alone without reading what it deletes, and otherwise page by page.
func (s *Scheduler) purgeDead(ctx context.Context, f task.DeadFilter) (n int, err error) {
	if f == (task.DeadFilter{BeforeMS: f.BeforeMS}) {
		deleted, err := s.store.PurgeDead(ctx, f.BeforeMS)
		return int(deleted), err
	}
	var some []task.Ref
	flush := func() error {
		deleted, err := s.store.DeleteDead(ctx, some)
		n, some = n+int(deleted), some[:0]
		return err
	}
	for d, err := range s.deadLetters(ctx, f, task.DeadCursor{}) {
		if err != nil {
			return n, err
		}
		if some = append(some, d.Ref); len(some) < deadPage {
			continue
		}
		if err := flush(); err != nil {
			return n, err
		}
	}
	return n, flush()
}
