package triggerhook_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// errDied is what a process that has died gets when the transcript is over. It matches
// ErrClosed, so that nothing is tried again.
var errDied = fmt.Errorf("the process is dead: %w", task.ErrClosed)

// proc is one process of a transcript: a Scheduler that reaches the stores through a gate. The
// gate notes each call, and can hold a call back, or let the process die just before or after it.
type proc struct {
	name string
	w    *transcriptWorld
	h    *hotServer // that it works with
	sch  *triggerhook.Scheduler
	ctx  context.Context // of the calls of the script
	end  context.CancelFunc
	stop context.CancelFunc // ends Run; nil: Run was not called
	done chan error         // of Run

	deliveries map[string]*triggerhook.Delivery // by ID, the last one of each

	mu     sync.Mutex
	dead   bool
	traps  []trap
	cut    map[string]bool            // stores that it does not reach: "store", "set"
	claims bool                       // claims pass; otherwise they find nothing
	wake   chan<- struct{}            // of Watch
	late   map[string][]chan struct{} // calls that were sent and are still on their way, by name
}

// trap is what befalls the next call of that name.
type trap struct {
	what string // "before", "after": the process dies there; "late": the call is on its way for a while
	call string
}

// which store a call goes to.
func storeOf(call string) string {
	if call[0] >= 'A' && call[0] <= 'Z' {
		return "store"
	}
	return "set"
}

// trapped reports whether the trap is set, and takes it away.
func (p *proc) trapped(what, call string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, t := range p.traps {
		if t == (trap{what, call}) {
			p.traps = append(p.traps[:i], p.traps[i+1:]...)
			return true
		}
	}
	return false
}

// die ends the process: nothing that it does from now on has an effect, or is seen.
func (p *proc) die(why string) {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	if why != "" {
		p.w.add(note{p: p, text: "dies " + why, rank: rankDeath})
	}
}

func (p *proc) is(dead bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead == dead
}

// isCut reports whether the process does not reach a store, or the elections.
func (p *proc) isCut(what string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut[what]
}

// freeze holds a call of a dead process until the transcript is over.
func (p *proc) freeze() error {
	<-p.w.over
	return errDied
}

// enter is called before a call goes to its store. What is empty for a call that is not printed.
func (p *proc) enter(ctx context.Context, call, what string) error {
	if p.is(true) {
		return p.freeze()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.trapped("before", call) {
		p.die("before " + what)
		return p.freeze()
	}
	if p.isCut(storeOf(call)) {
		if what != "" {
			p.w.add(note{p: p, text: what + ": no answer", rank: rankOf(call)})
		}
		return fmt.Errorf("%s: %w", call, task.ErrUnavailable)
	}
	return nil
}

// leave is called after a call has come back.
func (p *proc) leave(call string) error {
	if p.trapped("after", call) {
		p.die("after " + call)
	}
	if p.is(true) {
		return p.freeze()
	}
	return nil
}

// pass makes a call through the gate. what names it and its operands, and result says what a call
// without an error has answered.
func pass[R any](ctx context.Context, p *proc, call, what string, f func(context.Context) (R, error), result func(R) string) (R, error) {
	var none R
	if err := p.enter(ctx, call, what); err != nil {
		return none, err
	}
	if p.trapped("late", call) {
		p.w.note(p, what+": is on its way")
		return deferred(ctx, p, call, what, f, result)
	}
	r, err := f(ctx)
	p.w.add(note{p: p, text: what + outcome(r, err, result), rank: rankOf(call)})
	if dead := p.leave(call); dead != nil {
		return none, dead
	}
	return r, err
}

// outcome is what a call has answered; a call without a result is not printed with one.
func outcome[R any](r R, err error, result func(R) string) string {
	switch {
	case err != nil:
		return ": " + say(err)
	case result == nil || result(r) == "":
		return ""
	}
	return ": " + result(r)
}

// deferred makes a call that arrives when the script says so, whether or not its caller still waits.
func deferred[R any](ctx context.Context, p *proc, call, what string, f func(context.Context) (R, error), result func(R) string) (R, error) {
	arrive := make(chan struct{})
	p.mu.Lock()
	p.late[call] = append(p.late[call], arrive)
	p.mu.Unlock()
	var r R
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-arrive:
			r, err = f(context.WithoutCancel(ctx))
			p.w.note(p, what+" arrives"+outcome(r, err, result))
		case <-p.w.over:
			err = errDied
		}
	}()
	select {
	case <-done:
		return r, err
	case <-ctx.Done():
		var none R
		return none, fmt.Errorf("%s: %w", call, ctx.Err())
	}
}

// nothingDue is a batch of a claim that found nothing, for a process that is not to claim now.
func nothingDue(a task.AsOf) task.Batch {
	return task.Batch{AsOf: a, LoadedMS: time.UnixMicro(a.TimeUS).Add(24 * time.Hour).UnixMilli()}
}
