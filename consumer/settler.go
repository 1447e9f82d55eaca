package consumer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	group "github.com/triggerhook/triggerhook/internal/batch"
	"github.com/triggerhook/triggerhook/task"
)

const (
	asyncLimit    = 100_000 // confirms that may wait before ConfirmAsync blocks
	confirmsAtAll = 4       // grouped confirms under way at once
	retryPause    = 200 * time.Millisecond
)

// settler takes the answers of callers.
//
// Confirm: the row first, then the hot set (rule 1). Once the row is gone the
// answer is nil; a removal that does not reach the hot set is the Set's owner's to
// repeat. While the store is away the group is tried again for as long as the
// consumer lives: the keeper extends the leases meanwhile, so what was done is
// not done twice.
//
// Rollback: the hot set alone, where it moves the member back; beyond the horizon
// the row gets another due time and version, and the old member is removed.
type settler struct {
	c        *Consumer
	confirms group.Group[*held, struct{}]
	slots    chan struct{}   // of ConfirmAsync
	life     context.Context // ends when no answer is tried again
	stop     context.CancelFunc
}

func (s *settler) init(c *Consumer) {
	s.c = c
	s.confirms = group.Group[*held, struct{}]{Parallel: confirmsAtAll, Flush: s.flush}
	s.slots = make(chan struct{}, asyncLimit)
	s.life, s.stop = context.WithCancel(context.Background())
}

// begin counts an answer that is under way; the end it returns is called once.
func (s *settler) begin(h *held) (end func()) {
	s.c.figures.confirming.Add(1)
	return func() {
		s.c.mu.Lock()
		s.c.forget(h)
		s.c.answered()
		s.c.settled.add(1)
		s.c.mu.Unlock()
		s.c.figures.confirming.Add(-1)
		s.c.look()
	}
}

func (s *settler) confirm(h *held) <-chan error {
	end := s.begin(h)
	res := s.confirms.Go(h)
	done := make(chan error, 1)
	go func() {
		r := <-res
		end()
		if r.Err != nil {
			r.Err = fmt.Errorf("confirm %q: %w", h.ID, r.Err)
		}
		done <- r.Err
	}()
	return done
}

func (s *settler) confirmAsync(h *held) {
	s.slots <- struct{}{}
	done := s.confirm(h)
	go func() {
		err := <-done
		<-s.slots
		if !errors.Is(err, task.ErrGone) {
			s.c.o.Report.Error("confirm", err, "the task is delivered again")
		}
	}()
}

// flush confirms a group: one deletion of rows, then one removal a batch.
func (s *settler) flush(hs []*held) []group.Result[struct{}] {
	refs := make([]task.Ref, len(hs))
	for i, h := range hs {
		refs[i] = h.Ref
	}
	res := make([]group.Result[struct{}], len(hs))
	deleted, err := s.deleteRows(refs)
	if err != nil {
		for i := range res {
			res[i].Err = err
		}
		return res
	}
	byBatch := map[*held][]task.Ref{} // keyed by a first member: batches of one token and partition
	first := map[string]*held{}
	for i, h := range hs {
		if deleted[i] {
			s.c.figures.confirmed.Add(1)
		} else {
			res[i].Err = task.ErrGone
		}
		if first[h.batch.token] == nil {
			first[h.batch.token] = h
		}
		f := first[h.batch.token]
		byBatch[f] = append(byBatch[f], h.Ref)
	}
	for f, refs := range byBatch {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.life), 2*time.Second)
		_, err := s.c.set.Remove(ctx, f.batch.p, f.batch.token, refs)
		cancel()
		s.c.o.Report.Error("remove confirmed tasks", err, "tried again until it lands", "tasks", len(refs))
	}
	return res
}

// deleteRows tries until the store answers, or the settler's life ends.
func (s *settler) deleteRows(refs []task.Ref) ([]bool, error) {
	for {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.life), 15*time.Second)
		deleted, err := s.c.store.Delete(ctx, refs)
		cancel()
		if err == nil || !mends(err) || s.life.Err() != nil {
			return deleted, err
		}
		s.c.o.Report.Error("confirm", err, "tried again", "tasks", len(refs))
		pause(s.life, retryPause)
	}
}

// mends reports whether waiting may mend err.
func mends(err error) bool {
	return errors.Is(err, task.ErrUnavailable) || errors.Is(err, task.ErrReadOnly) || errors.Is(err, context.DeadlineExceeded)
}

func (s *settler) rollback(h *held, delay time.Duration) <-chan error {
	end := s.begin(h)
	done := make(chan error, 1)
	go func() {
		err := s.giveBack(h, delay)
		if err == nil {
			s.c.figures.rolledBack.Add(1)
		} else {
			err = fmt.Errorf("roll back %q: %w", h.ID, err)
		}
		end()
		done <- err
	}()
	return done
}

// giveBack tries until the hot set answers or the lease is over: then the reaper
// gives the task back, and the row tells whether there is one.
func (s *settler) giveBack(h *held, delay time.Duration) error {
	for {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.life), 2*time.Second)
		answers, err := s.c.set.Release(ctx, h.batch.p, task.Release{Token: h.batch.token, Refs: []task.Ref{h.Ref}, Delay: delay, Counted: true})
		cancel()
		if err == nil {
			return s.settleBack(h, delay, answers[0])
		}
		s.c.mu.Lock()
		lost := h.lost
		s.c.mu.Unlock()
		if lost || s.life.Err() != nil {
			return s.stands(h)
		}
		if !errors.Is(err, task.ErrCold) {
			s.c.o.Report.Error("roll back", err, "tried again while the lease lives")
		}
		pause(s.life, retryPause)
	}
}

func (s *settler) settleBack(h *held, delay time.Duration, a task.Answer) error {
	switch a {
	case task.Waiting, task.Elsewhere:
		return nil
	case task.Dead:
		return task.ErrGone
	case task.Beyond:
		return s.postpone(h, delay)
	default:
		return s.stands(h)
	}
}

// stands tells whether the row is there still: then it is offered again.
func (s *settler) stands(h *held) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.life), 15*time.Second)
	defer cancel()
	rows, err := s.c.store.Get(ctx, []string{h.ID})
	if err != nil {
		return err
	}
	if len(rows) == 0 || rows[0].Ref != h.Ref {
		return task.ErrGone
	}
	return nil
}

// postpone gives the row another due time and version; the feeder or Add brings
// that into the hot set when its time is near.
func (s *settler) postpone(h *held, delay time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.life), 15*time.Second)
	defer cancel()
	p := h.batch.p
	asOf, clockErr := s.c.set.Clock(ctx, p)
	to := task.Row{Ref: task.Ref{ID: h.ID, Ver: rand.Int64()}, DueMS: s.c.hotNow().Add(delay).UnixMilli() + 1, ExecMS: h.ExecMS, Attempt: h.Attempt + 1}
	moved, err := s.c.store.Move(ctx, h.Ref, to)
	if err != nil {
		return err
	}
	if !moved {
		return task.ErrGone
	}
	_, err = s.c.set.Remove(ctx, p, h.batch.token, []task.Ref{h.Ref})
	s.c.o.Report.Error("remove a postponed task", err, "tried again until it lands")
	if clockErr == nil {
		e := task.Entry{Ref: to.Ref, DueMS: to.DueMS, ExecMS: to.ExecMS, Attempt: to.Attempt, External: true}
		_, err = s.c.set.Add(ctx, p, task.Adding{AsOf: asOf, Entries: []task.Entry{e}})
		s.c.o.Report.Error("add a postponed task", err, "the feeder or the auditor adds it")
	}
	return nil
}

func (c *Consumer) hotNow() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}
