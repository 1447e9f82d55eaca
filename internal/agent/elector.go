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
	// AliveFor is for how long a worker counts as alive after it has told of itself: long enough that it may miss one election.
	AliveFor = 2 * (term + electLag)
	// ToldWithin is how long after a process began to ask for the workers each worker has told of itself: each has held an
	// election by then, and had some time for it.
	ToldWithin = term + 4*electLag
	// electRetry is how soon after an election that failed the next one is held: a partition that has moved
	// to another server is not worked with before there is a feeder.
	electRetry = 300 * time.Millisecond
	// nudgeRest is how long after a nudge that made a role begin its round at once the next one may do so.
	nudgeRest = time.Second
	// resignTimeout bounds the call that resigns all roles.
	resignTimeout = time.Second
)

// roles are all background roles.
var roles = []task.Role{task.Feeder, task.Reaper, task.Auditor}

// Elector takes part in the elections of the background roles, and runs the roles that this process holds.
//
// A process asks for a role that another one holds electLag after the end of that term. It hears of each renewal (Kept), so
// as long as the holder lives it does not ask at all. A renewal that it does not hear of costs one question, once a term. It
// hears of none if the subscription is down, if the holder is of an older version, or while a process asks for the
// workers (task.Term.Watched): then each worker asks, and so learns that it is to tell of itself.
type Elector struct {
	o       Options
	runners []*runner     // of all roles, and of what runs beside a role
	told    bool          // this worker has told of itself
	renewed chan struct{} // has an element once Kept was called

	mu     sync.Mutex
	next   time.Time               // when to renew the roles of this process, or to ask again after an election that failed; zero: neither
	others []task.Role             // that other processes hold, by the last election
	until  map[task.Role]time.Time // when a role's term ends, by an election or Kept
}

// NewElector returns an Elector. It starts nothing.
func NewElector(o Options) *Elector {
	o.parts = o.Set.Config().Partitions
	reaper, auditor := newReaper(o), newAuditor(o) // one for all terms: the auditor knows when it has audited
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

// noteTerm notes that role is held for left. No more than term of that counts, because a holder of another version may have
// longer terms. The later end stands, because what was heard while an election was under way may be newer than its answer. Under mu.
func (e *Elector) noteTerm(role task.Role, left time.Duration) {
	if ends := time.Now().Add(min(left, term)); ends.After(e.until[role]) {
		e.until[role] = ends
	}
}

// Run takes part in the elections until ctx ends, and resigns then. A round may take longer than its
// term. Of a feeder that has lost its term the hot set takes nothing more, because it checks the epoch.
func (e *Elector) Run(ctx context.Context) {
	defer e.resign(ctx)
	for ctx.Err() == nil {
		e.elect(ctx)
		e.o.Records.Vacate(ctx, e.o.Outage)
		e.awaitNext(ctx)
	}
}

// Once stands for one role. If it is elected it does one round of that role and resigns. It reports
// whether it was elected. Run does the same by its timers; the transcripts in testdata/protocol, and
// package triggerhooktest, do it step by step, in one goroutine. A process that uses Once holds a role many times, and only
// the first time is told as the beginning of a term.
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
			r.stop() // so that the first round after an outage comes at once, too
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

// plan notes when the next election is to come, after one that answered terms; none: it failed.
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

// tell tells of this worker if a process asks for the workers (hotset.Set.Workers).
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

// awaitNext waits until the next election is due; Kept may put that off meanwhile. It also ends when a partition does not answer,
// because the next election may be on another server then. It takes at least electRetry, if no election is due before.
func (e *Elector) awaitNext(ctx context.Context) {
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
// A term may be shorter than all periods of its role, because workers that restart each few seconds pass
// the roles on. So the first round of a term comes at once. It also does what is done once in a while,
// unless this process has done that lately. What takes longer than a term is recorded where the next
// holder finds it (horizon.Window).
type runner struct {
	o      Options
	role   task.Role
	beside bool                    // it runs beside the role's own runner, which tells of the terms
	told   bool                    // Once has told of the beginning of a term
	start  func(epoch int64) round // returns what does the rounds of a term
	nudge  <-chan struct{}         // has an element when a round is wanted at once; nil: never
	epoch  int64                   // of the term whose rounds run
	quit   context.CancelFunc      // ends them; nil: none run
	done   chan struct{}           // closed when they have ended
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
			if r.awaitRound(ctx, round(ctx), nudged) {
				nudged = time.Now()
			}
		}
	}()
}

// tellElected tells the log and the hook of the beginning of a term.
func (r *runner) tellElected() {
	r.o.Report.Info("holds a role", "role", r.role)
	if tell := r.o.Hooks.LeaderElected; tell != nil {
		hooks.Call(r.o.Report, "LeaderElected", tell, hook.LeaderElected{Role: string(r.role)})
	}
}

// awaitRound waits for d, or for a nudge if the last one that counted is nudgeRest ago. It reports
// whether a nudge has ended the wait.
func (r *runner) awaitRound(ctx context.Context, d time.Duration, nudged time.Time) bool {
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

// stop ends the role's rounds, and returns when they have ended.
func (r *runner) stop() {
	if r.quit != nil {
		r.quit()
		<-r.done
		r.quit = nil
	}
}
