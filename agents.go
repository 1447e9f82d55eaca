package triggerhook

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// term of a background role: who dies is replaced within that and electLag,
	// which together are less than 3 s.
	term = 2800 * time.Millisecond
	// electLag is how long after a holder's term others stand: long enough that they
	// find it renewed, for otherwise they ask at each renewal, not once a term.
	electLag = 100 * time.Millisecond
	// renewEvery leaves a holder one more try before its term ends.
	renewEvery = term / 2
	// electRetry is how soon an election that failed is held again: no partition that has
	// moved to another server is worked with before there is a feeder again.
	electRetry = 300 * time.Millisecond
)

// agents stands for the background roles until ctx ends, runs those that this
// process holds, and resigns at the end. One loop does it all: a feeder's round
// that takes long loses the term, and its epoch with it, which the hot set checks.
func (s *Scheduler) agents(ctx context.Context) {
	roles := []task.Role{task.Feeder, task.Auditor}
	audits := &auditor{Scheduler: s} // knows from term to term when it audited
	rounds := []*role{
		{s: s, name: task.Feeder, nudge: s.records.cold, begin: func(epoch int64) round { return s.newFeeder(epoch).round }},
		{s: s, name: task.Auditor, begin: func(int64) round { return audits.round }},
	}
	defer s.resign(ctx, rounds)
	for ctx.Err() == nil {
		terms, err := s.set.Elect(ctx, s.name, term, roles...)
		wait := term + electLag
		if err != nil {
			s.outage.noteAll(err)
			wait = electRetry
			s.report.Error("elect", err, "roles rest until the next election")
			for _, r := range rounds {
				r.stop() // also so that the first round after an outage comes at once
			}
		}
		for i, t := range terms {
			rounds[i].hold(ctx, t)
			if t.Held {
				s.records.use()
				wait = min(wait, renewEvery)
			} else {
				wait = min(wait, t.Left+electLag)
			}
		}
		s.records.vacate(ctx, s.outage)
		s.pause(ctx, wait)
	}
}

// pause waits for d, or until a partition does not answer: then the roles are asked for again,
// which may be on another server, but not sooner than electRetry.
func (s *Scheduler) pause(ctx context.Context, d time.Duration) {
	least := min(d, electRetry)
	wait.For(ctx, least)
	short, cancel := context.WithTimeout(ctx, d-least)
	defer cancel()
	select {
	case <-s.outage.noted:
	case <-short.Done():
	}
}

// resign ends the roles that this process holds, so that others need not wait.
func (s *Scheduler) resign(ctx context.Context, rounds []*role) {
	for _, r := range rounds {
		r.stop()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	failpoint.Hit("drain/resign")
	_, err := s.set.Elect(ctx, s.name, 0, task.Feeder, task.Auditor)
	failpoint.Hit("drain/end")
	s.report.Error("resign", err, "the term ends by itself")
}

// round does one round of a role, and returns when the next one is to come.
type round = func(context.Context) time.Duration

// role runs the rounds of one background role while this process holds it.
//
// A term may be shorter than every period of its role: workers that restart each few
// seconds pass the roles on. So the first round of a term comes at once and leaves nothing
// out that is done once in a while, unless this process has done it lately, and what takes
// longer than a term is recorded where the next holder finds it (Scheduler.settle).
type role struct {
	s     *Scheduler
	name  task.Role
	begin func(epoch int64) round
	nudge <-chan struct{} // has an element when a round is wanted at once; nil: never
	epoch int64
	quit  context.CancelFunc
	done  chan struct{}
}

// hold starts the role's rounds when a term begins, and ends them with it.
func (r *role) hold(ctx context.Context, t task.Term) {
	if t.Held && r.quit != nil && r.epoch == t.Epoch {
		return
	}
	r.stop()
	if !t.Held {
		return
	}
	r.epoch = t.Epoch
	r.s.report.Info("holds a role", "role", r.name)
	ctx, r.quit = context.WithCancel(ctx)
	r.done = make(chan struct{})
	round := r.begin(t.Epoch)
	go func() {
		defer close(r.done)
		var nudged time.Time
		for ctx.Err() == nil {
			if r.rest(ctx, round(ctx), nudged) {
				nudged = time.Now()
			}
		}
	}()
}

// rest waits for d, or for a nudge if the last one that was heeded is feedEvery ago. It
// reports whether it heeded one.
func (r *role) rest(ctx context.Context, d time.Duration, nudged time.Time) bool {
	nudge := r.nudge
	if time.Since(nudged) < feedEvery {
		nudge = nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return false
	case <-ctx.Done():
		return false
	case <-nudge:
		return true
	}
}

func (r *role) stop() {
	if r.quit != nil {
		r.quit()
		<-r.done
		r.quit = nil
	}
}
