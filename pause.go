package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/record"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// PauseOptions are options of Pause.
type PauseOptions struct {
	// Until is when the pause ends by itself, by the hot set's clock: in the future, and with Producers at least 5 s ahead. The zero time: only
	// Resume ends it.
	Until time.Time
	// Producers stops producers too: Create, CreateTx, Upsert, Requeue and RequeueDead answer ErrPaused during the pause.
	Producers bool
}

// PauseStatus tells whether the namespace is paused. The zero PauseStatus means that it is not.
type PauseStatus struct {
	Since     time.Time // when the pause began; a Pause that replaces another one keeps the time of that
	Until     time.Time // when it ends by itself; the zero time: only Resume ends it
	Producers bool      // nothing is created either
}

// Paused reports whether the namespace is paused.
func (p PauseStatus) Paused() bool { return !p.Since.IsZero() }

// Pause begins a pause of the namespace: no process delivers a task until o.Until or until Resume. The pause is recorded in the durable
// store: it survives restarts of all processes and a Redis that loses its data. A later call replaces an earlier one.
//
// Nil: no worker claims a task from now on, and within 1 s all workers have given back, without an attempt counted, what they had
// claimed and not handed out yet. Until then such a task may still be delivered. Deliveries that have begun go on: they
// can be confirmed, rolled back and failed, and their leases are kept. docs/operations.md says how to drain a namespace. Tasks are
// created, preloaded and offered again as before, so they collect, and are delivered after the pause, oldest first; those that expire
// meanwhile become dead letters after the pause.
//
// Where a partition of Redis does not answer, or is being rebuilt, Pause waits for it, about 2 s at most: by then each worker that reaches
// the durable store knows of the pause. The log says so (act="pause"), and Redis is told later, by the background roles. A worker
// that does not reach the durable store at that time may go on until then.
//
// With o.Producers Pause takes 2 s: nothing is created by calls that begin once it has returned nil, on any process that can
// read the records of the durable store; before that it depends on the process. Delete, Reschedule, Update, Get and List go on.
//
// ErrInvalid: o.Until does not lie in the future, or with o.Producers not 5 s ahead; nothing was changed. After any other error the outcome
// is unknown, and the same call may be repeated. All processes need a version of this library that knows of pauses.
func (s *Scheduler) Pause(ctx context.Context, o PauseOptions) error {
	now := time.Now()
	until, err := task.UntilMS(o.Until, now)
	if err == nil && o.Producers && until < now.Add(leastPause).UnixMilli() {
		err = fmt.Errorf("%w: until %s is less than %s ahead, and all producers know of a pause after %s", ErrInvalid, o.Until.UTC().Format(time.RFC3339Nano), leastPause, record.Hold)
	}
	if err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	p, err := s.records.SwapPause(ctx, func(old task.Pause) task.Pause {
		to := task.Pause{Seq: old.Seq, UntilMS: until, SinceMS: now.UnixMilli(), Producers: o.Producers}
		if old.At(now) {
			to.SinceMS = old.SinceMS
		}
		return to
	})
	if err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	defer s.ns.forget()
	known := time.Now().Add(record.Hold) // by then no process uses records from before
	if err := s.tellPause(ctx, known); err != nil {
		s.report.Error("pause", err, "workers read it in the durable store")
	}
	if p.Producers {
		wait.For(ctx, time.Until(known))
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("pause: it is recorded, but not all processes may know it yet: %w", err)
	}
	if !p.At(time.Now()) {
		return fmt.Errorf("pause: %w: it was over before all processes knew of it, because this one was held up", ErrUnavailable)
	}
	return nil
}

// leastPause is how far ahead the end of a pause of producers lies at least. It is well above record.Hold, which Pause waits.
const leastPause = 5 * time.Second

// Resume ends a pause. Nil: tasks are delivered again, and the workers that sleep have been woken. A worker that
// does not hear of it looks again within 8 s. If the pause was one of producers, this process creates again at once, and others do within 1.5 s.
// Without a pause Resume changes nothing. After an error the outcome is unknown, and the same call may be repeated.
func (s *Scheduler) Resume(ctx context.Context) error {
	p, err := s.records.SwapPause(ctx, func(old task.Pause) task.Pause {
		if old.UntilMS == 0 {
			return old
		}
		return task.Pause{Seq: old.Seq}
	})
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	if p.Seq == 0 {
		return nil // there never was a pause
	}
	defer s.ns.forget()
	if err := s.tellPause(ctx, time.Now()); err != nil {
		s.report.Error("resume", err, "the feeder's next round tells the partitions")
	}
	return nil
}

// tellPause tells all partitions of the pause that was read last. It tries each partition at least once, and until that time again if it does
// not answer.
func (s *Scheduler) tellPause(ctx context.Context, until time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, until.Add(record.RefreshIfOldTimeout))
	defer cancel()
	failpoint.Hit("pause/tell")
	errs := make([]error, s.parts)
	var all sync.WaitGroup
	for p := range s.parts {
		all.Go(func() {
			for {
				if errs[p] = s.tellPauseOne(ctx, p); errs[p] == nil || !time.Now().Before(until) || ctx.Err() != nil {
					return
				}
				wait.For(ctx, tellAgain)
			}
		})
	}
	all.Wait()
	failpoint.Hit("pause/end")
	return errors.Join(errs...)
}

// tellAgain is how soon a partition is told again that did not answer, or was cold.
const tellAgain = 50 * time.Millisecond

// tellPauseOne tells one partition, which then wakes all workers (hotset.Set.Pause). A partition of which no generation is current need not
// hear: a generation begins with the pause that its feeder has read after the generation became current.
func (s *Scheduler) tellPauseOne(ctx context.Context, p int) error {
	err := s.set.Pause(ctx, p)
	if is := s.records.Partition(p); errors.Is(err, task.ErrCold) && (is.Current.Generation == 0 || is.Past) {
		return nil
	}
	return err
}

// checkProducers returns an ErrPaused if nothing is to be created at present. It reads the records only if they are older than
// record.MaxAge, and asks for the time only in a pause.
func (s *Scheduler) checkProducers(ctx context.Context) error {
	p := s.records.Recent(ctx).Pause
	if !p.Producers {
		return nil
	}
	return record.Paused(p, s.presentTime(ctx))
}

// presentTime is what the hot set's clock says now, or this process's if it does not answer. It asks by State, because the time of Clock may
// be some seconds old.
func (s *Scheduler) presentTime(ctx context.Context) time.Time {
	st, err := s.set.State(ctx, 0)
	if err != nil || st.AsOf.TimeUS == 0 {
		return time.Now()
	}
	return time.UnixMicro(st.AsOf.TimeUS)
}

// pauseStatus is the pause that was read last, as it is by the latest of those states.
func (s *Scheduler) pauseStatus(ctx context.Context, states []task.State) PauseStatus {
	p := s.records.Recent(ctx).Pause
	now := time.Now()
	for i, st := range states {
		if at := time.UnixMicro(st.AsOf.TimeUS); i == 0 || at.After(now) {
			now = at
		}
	}
	if !p.At(now) {
		return PauseStatus{}
	}
	out := PauseStatus{Since: time.UnixMilli(p.SinceMS).UTC(), Producers: p.Producers}
	if p.UntilMS < task.MaxDue {
		out.Until = time.UnixMilli(p.UntilMS).UTC()
	}
	return out
}
