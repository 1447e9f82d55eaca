package agent

import (
	"context"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/hooks"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// term of a background role. A holder that dies is replaced within term and electLag,
	// which together are less than 3 s.
	term = 2800 * time.Millisecond
	// electLag is how long after a holder's term other processes ask for it. It is long enough
	// that they find the term renewed; otherwise they would ask at each renewal, not once a term.
	electLag = 100 * time.Millisecond
	// renewEvery leaves a holder one more try before its term ends.
	renewEvery = term / 2
	// AliveFor is for how long a worker counts as alive that told of itself: it misses one election at most.
	AliveFor = 2 * (term + electLag)
	// ToldWithin is how long it takes until each worker has told of itself since a process began to ask for the workers: each has held an
	// election by then, and had some time for it.
	ToldWithin = term + 4*electLag
	// electRetry is how soon an election that failed is held again: a partition that has moved
	// to another server is not worked with before there is a feeder again.
	electRetry = 300 * time.Millisecond
	// nudgeRest is how far apart the nudges are at least that make a role begin its round at once.
	nudgeRest = time.Second
	// resignTimeout bounds the call that resigns all roles.
	resignTimeout = time.Second
)

// roles are all background roles.
var roles = []task.Role{task.Feeder, task.Reaper, task.Auditor}

// Elector takes part in the elections of the background roles, and runs the roles that this process holds.
//
// A process that holds no role asks for each electLag after its holder's term. It hears of each renewal (Kept), so
// as long as a holder lives it does not ask at all. A renewal that it does not hear of costs one question, once a term: it
// hears nothing if the subscription is down, if the holder is of an older version, or while the workers are
// watched (task.Term.Watched), which each of them learns from its own election.
type Elector struct {
	o       Options
	runners []*runner     // of all roles, and of what runs beside a role
	told    bool          // this worker has told of itself
	renewed chan struct{} // has an element once Kept was called

	mu     sync.Mutex
	next   time.Time               // when to renew what this process holds, or to ask again after an election that failed; zero: neither
	others []task.Role             // which others hold, as the last election has told
	until  map[task.Role]time.Time // when a role's term ends, as an election or Kept has told
}

// NewElector returns an Elector. It starts nothing.
func NewElector(o Options) *Elector {
	o.parts = o.Set.Config().Partitions
	reaper, auditor := newReaper(o), newAuditor(o) // these live from term to term: the auditor knows when it audited
	runners := []*runner{
		{o: o, role: task.Feeder, nudge: o.Records.Cold(), start: func(epoch int64) round { return newFeeder(o, epoch).round }},
		{o: o, role: task.Reaper, start: func(int64) round { return reaper.round }},
		{o: o, role: task.Auditor, start: func(int64) round { return auditor.round }},
	}
	if o.Outbox != nil {
		runners = append(runners, &runner{o: o, role: task.Feeder, beside: true, nudge: o.Records.TxUsed(), start: func(int64) round { return newDrainer(o).round }})
	}
	if o.History != nil {
		runners = append(runners, &runner{o: o, role: task.Auditor, beside: true, start: func(int64) round { return newPurger(o).round }})
	}
	return &Elector{o: o, runners: runners, renewed: make(chan struct{}, 1), until: map[task.Role]time.Time{}}
}

// Kept notes that a process has roles for that long: until then this process need not ask for them (task.Watcher).
func (e *Elector) Kept(roles []task.Role, left time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, role := range roles {
		e.noteTerm(role, left)
	}
	wait.Wake(e.renewed)
}

// noteTerm notes that role is held for left, of which no more than a term of this process's own counts, whatever a holder of another
// version has. What was heard before an answer came may be newer than the answer. Under mu.
func (e *Elector) noteTerm(role task.Role, left time.Duration) {
	if ends := time.Now().Add(min(left, term)); ends.After(e.until[role]) {
		e.until[role] = ends
	}
}

// Run takes part in the elections until ctx ends, and resigns then. A feeder's round that takes long
// loses the term, and its epoch with it, which the hot set checks.
func (e *Elector) Run(ctx context.Context) {
	defer e.resign(ctx)
	for ctx.Err() == nil {
		e.elect(ctx)
		e.o.Records.Vacate(ctx, e.o.Outage)
		e.pause(ctx)
	}
}

// Once stands for one role, and if it is elected does one round of that role and resigns. It
// reports whether it was elected. Run does the same by its timers; the transcripts in
// testdata/protocol, and package triggerhooktest, do it step by step, in one goroutine. Such a process gives each role back at once, so only
// the first time is told as the begin of a term.
func (e *Elector) Once(ctx context.Context, role task.Role) (held bool, err error) {
	terms, err := e.o.Set.Elect(ctx, e.o.Name, term, role)
	if err != nil || !terms[0].Held {
		return false, err
	}
	for _, r := range e.runners {
		if r.role == role && !r.beside {
			if !r.told {
				r.told = true
				r.tellElected()
			}
			r.start(terms[0].Epoch)(ctx)
		}
	}
	_, err = e.o.Set.Elect(ctx, e.o.Name, 0, role)
	return true, err
}

// elect holds one election, tells others of this worker, and notes when the next election is to come.
func (e *Elector) elect(ctx context.Context) {
	terms, err := e.o.Set.Elect(ctx, e.o.Name, term, roles...)
	if err != nil {
		e.o.Outage.NoteAll(err)
		e.o.Report.Error("elect", err, "roles rest until the next election")
		for _, r := range e.runners {
			r.stop() // also so that the first round after an outage comes at once
		}
		e.plan(nil)
		return
	}
	for i, t := range terms {
		for _, r := range e.runners {
			if r.role == roles[i] {
				r.follow(ctx, t)
			}
		}
		if t.Held {
			e.o.Records.Use()
		}
	}
	e.plan(terms)
	e.tell(ctx, terms)
}

// plan notes when the next election is to come, after an election that answered terms; none: it failed.
func (e *Elector) plan(terms []task.Term) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next, e.others = time.Time{}, nil
	if len(terms) == 0 {
		e.next = time.Now().Add(electRetry)
	}
	for i, t := range terms {
		if t.Held {
			e.next = time.Now().Add(renewEvery)
		} else {
			e.others = append(e.others, roles[i])
			e.noteTerm(roles[i], t.Left)
		}
	}
}

// due is when the next election is to come.
func (e *Elector) due() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := e.next
	for _, role := range e.others {
		if ask := e.until[role].Add(electLag); at.IsZero() || ask.Before(at) {
			at = ask
		}
	}
	return at
}

// tell tells of this worker if a process asks (hotset.Set.Workers).
func (e *Elector) tell(ctx context.Context, terms []task.Term) {
	if !terms[0].Watched {
		return
	}
	e.told = true
	if err := e.o.Set.Heartbeat(ctx, e.o.Name, e.o.Tell()); err != nil {
		e.o.Report.Error("heartbeat", err, "told again at the next election")
	}
}

// tellEnd has those who ask for the workers forget this one.
func (e *Elector) tellEnd(ctx context.Context) {
	if !e.told {
		return
	}
	if err := e.o.Set.Heartbeat(ctx, e.o.Name, nil); err != nil {
		e.o.Report.Error("heartbeat", err, "this worker is forgotten after a while")
	}
}

// pause waits until the next election is due, which what is heard meanwhile puts off, or until a partition does not answer. Then the next
// election comes, which may be on another server, but not sooner than electRetry.
func (e *Elector) pause(ctx context.Context) {
	wait.For(ctx, min(time.Until(e.due()), electRetry))
	for ctx.Err() == nil {
		left := time.NewTimer(time.Until(e.due()))
		select {
		case <-e.renewed:
			left.Stop()
			continue
		case <-left.C:
		case <-e.o.Outage.Noted():
		case <-ctx.Done():
		}
		left.Stop()
		return
	}
}

// resign ends the roles that this process holds, so that other processes need not wait.
func (e *Elector) resign(ctx context.Context) {
	for _, r := range e.runners {
		r.stop()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resignTimeout)
	defer cancel()
	failpoint.Hit("drain/resign")
	_, err := e.o.Set.Elect(ctx, e.o.Name, 0, roles...)
	failpoint.Hit("drain/end")
	if err != nil {
		e.o.Report.Error("resign", err, "the term ends by itself")
	}
	e.tellEnd(ctx)
}

// round does one round of a role, and returns when the next one is to come.
type round = func(context.Context) time.Duration

// runner runs the rounds of one background role while this process holds it.
//
// A term may be shorter than every period of its role, because workers that restart each few
// seconds pass the roles on. So the first round of a term comes at once and does also what is
// done once in a while, unless this process has done it lately, and what takes longer than a
// term is recorded where the next holder finds it (horizon.Window).
type runner struct {
	o      Options
	role   task.Role
	beside bool                    // it runs beside the role's own runner, which tells of the terms
	told   bool                    // Once has told of a term
	start  func(epoch int64) round // returns the rounds of a term
	nudge  <-chan struct{}         // has an element when a round is wanted at once; nil: never
	epoch  int64
	quit   context.CancelFunc
	done   chan struct{}
}

// follow starts the role's rounds when a term of this process begins, and ends them with it.
func (r *runner) follow(ctx context.Context, t task.Term) {
	if t.Held && r.quit != nil && r.epoch == t.Epoch {
		return
	}
	r.stop()
	if !t.Held {
		return
	}
	r.epoch = t.Epoch
	if !r.beside {
		r.tellElected()
	}
	ctx, r.quit = context.WithCancel(ctx)
	r.done = make(chan struct{})
	round := r.start(t.Epoch)
	go func() {
		defer close(r.done)
		var nudged time.Time
		for ctx.Err() == nil {
			if r.pause(ctx, round(ctx), nudged) {
				nudged = time.Now()
			}
		}
	}()
}

// tellElected tells the log and the hook of the begin of a term.
func (r *runner) tellElected() {
	r.o.Report.Info("holds a role", "role", r.role)
	if tell := r.o.Hooks.LeaderElected; tell != nil {
		hooks.Call(r.o.Report, "LeaderElected", tell, hook.LeaderElected{Role: string(r.role)})
	}
}

// pause waits for d, or for a nudge if the last one that was heeded is nudgeRest ago. It
// reports whether it heeded one.
func (r *runner) pause(ctx context.Context, d time.Duration, nudged time.Time) bool {
	nudge := r.nudge
	if time.Since(nudged) < nudgeRest {
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

func (r *runner) stop() {
	if r.quit != nil {
		r.quit()
		<-r.done
		r.quit = nil
	}
}
