package triggerhook_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// commands are what a script can say. The first operand of most is the process that does it.
var commands = map[string]func(*transcriptWorld, *step) error{
	"ready":      (*transcriptWorld).ready,
	"worker":     func(w *transcriptWorld, s *step) error { return w.begins(s, true) },
	"process":    func(w *transcriptWorld, s *step) error { return w.begins(s, false) },
	"create":     (*transcriptWorld).create,
	"delete":     (*transcriptWorld).delete,
	"reschedule": (*transcriptWorld).reschedule,
	"get":        (*transcriptWorld).get,
	"feed":       func(w *transcriptWorld, s *step) error { return w.role(s, task.Feeder) },
	"reap":       func(w *transcriptWorld, s *step) error { return w.role(s, task.Reaper) },
	"audit":      func(w *transcriptWorld, s *step) error { return w.role(s, task.Auditor) },
	"claim":      (*transcriptWorld).claim,
	"confirm":    (*transcriptWorld).confirm,
	"rollback":   (*transcriptWorld).rollback,
	"stop":       (*transcriptWorld).drain,
	"crash":      (*transcriptWorld).crash,
	"next":       func(w *transcriptWorld, s *step) error { _, err := w.actor(s, 0, 0); return err },
	"cut":        func(w *transcriptWorld, s *step) error { return w.reach(s, true) },
	"heal":       func(w *transcriptWorld, s *step) error { return w.reach(s, false) },
	"arrive":     (*transcriptWorld).arrive,
	"flush":      (*transcriptWorld).flush,
	"advance":    (*transcriptWorld).advance,
}

func (w *transcriptWorld) do(s *step) error {
	command, is := commands[s.command]
	if !is {
		return errors.New("there is no such command")
	}
	return command(w, s)
}

// count checks how many operands a step has.
func (s *step) count(least, most int) error {
	if n := len(s.operands); n < least || n > most {
		return fmt.Errorf("%d operands, want %d to %d", n, least, most)
	}
	return nil
}

// actor returns the process that the first operand names, with the trap that the step sets for it.
func (w *transcriptWorld) actor(s *step, least, most int) (*proc, error) {
	if err := s.count(1+least, 1+most); err != nil {
		return nil, err
	}
	for _, p := range w.procs {
		if p.name != s.operands[0] {
			continue
		}
		if p.is(true) {
			return nil, fmt.Errorf("process %s is dead", p.name)
		}
		return p, p.set(s)
	}
	return nil, fmt.Errorf("there is no process %s", s.operands[0])
}

// set sets the trap of crash=before:CALL, crash=after:CALL or late=CALL.
func (p *proc) set(s *step) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if crash, is := s.arg("crash"); is {
		when, call, _ := strings.Cut(crash, ":")
		if when != "before" && when != "after" || call == "" {
			return fmt.Errorf("crash=%s, want crash=before:CALL or crash=after:CALL", crash)
		}
		p.traps = append(p.traps, trap{when, call})
	}
	if call, is := s.arg("late"); is {
		p.traps = append(p.traps, trap{"late", call})
	}
	return nil
}

// span is a length of time that an argument has, the default if it is not given.
func (s *step) span(name string, def time.Duration) (time.Duration, error) {
	text, is := s.arg(name)
	if !is {
		return def, nil
	}
	return time.ParseDuration(text)
}

func (s *step) number(name string, def int) (int, error) {
	text, is := s.arg(name)
	if !is {
		return def, nil
	}
	return strconv.Atoi(text)
}

// answer runs a call of the script's in a goroutine of its own, because its process may die in the
// middle of it, and notes what it returns.
func (p *proc) answer(what string, call func() string) {
	done := make(chan string, 1)
	go func() {
		said := call()
		if done <- said; p.is(false) {
			p.w.add(note{p: p, text: what + ": " + said, rank: rankAnswer})
		}
	}()
	synctest.Wait()
	if p.is(false) && len(done) == 0 {
		p.w.add(note{p: p, text: what + ": no answer yet", rank: rankAnswer})
	}
}

// ready makes a process p that only calls the verbs and a worker w1, which has fed once. It does not
// print their calls.
func (w *transcriptWorld) ready(s *step) error {
	if err := s.count(0, 0); err != nil {
		return err
	}
	o, err := s.options()
	if err != nil {
		return err
	}
	if _, err := w.begin("p", o, false, s); err != nil {
		return err
	}
	w1, err := w.begin("w1", o, true, s)
	if err != nil {
		return err
	}
	synctest.Wait()
	_, err = w1.sch.Once(w1.ctx, task.Feeder)
	w.taken()
	return err
}

// begins makes processes.
func (w *transcriptWorld) begins(s *step, run bool) error {
	if err := s.count(1, 10); err != nil {
		return err
	}
	o, err := s.options()
	if err != nil {
		return err
	}
	for _, name := range s.operands {
		if _, err := w.begin(name, o, run, s); err != nil {
			return err
		}
		synctest.Wait()
	}
	return nil
}

// options are those of a Scheduler.
func (s *step) options() (triggerhook.Options, error) {
	var o triggerhook.Options
	var errs [7]error
	o.Window, errs[0] = s.span("window", 0)
	o.Lease, errs[1] = s.span("lease", 0)
	o.AuditGrace, errs[2] = s.span("grace", 0)
	o.DeliveryTimeout, errs[3] = s.span("timeout", 0)
	o.Drain, errs[4] = s.span("drain", 0)
	o.HotTasks, errs[5] = s.number("hot", 0)
	o.InlinePayload, errs[6] = s.number("inline", 0)
	return o, errors.Join(errs[:]...)
}

func (w *transcriptWorld) create(s *step) error {
	p, err := w.actor(s, 1, 100)
	if err != nil {
		return err
	}
	due, err := s.span("due", 0)
	if err != nil {
		return err
	}
	size, err := s.number("payload", 0)
	if err != nil {
		return err
	}
	var tasks []*triggerhook.Task
	for _, id := range s.operands[1:] {
		tasks = append(tasks, &triggerhook.Task{ID: id, Due: w.start.Add(due), Payload: make([]byte, size)})
	}
	p.answer("create", func() string { return say(p.sch.Create(p.ctx, tasks...)) })
	return nil
}

func (w *transcriptWorld) delete(s *step) error {
	p, err := w.actor(s, 1, 100)
	if err != nil {
		return err
	}
	p.answer("delete", func() string { return say(p.sch.Delete(p.ctx, s.operands[1:]...)) })
	return nil
}

func (w *transcriptWorld) reschedule(s *step) error {
	p, err := w.actor(s, 1, 1)
	if err != nil {
		return err
	}
	due, err := s.span("due", 0)
	if err != nil {
		return err
	}
	p.answer("reschedule", func() string { return say(p.sch.Reschedule(p.ctx, s.operands[1], w.start.Add(due))) })
	return nil
}

func (w *transcriptWorld) get(s *step) error {
	p, err := w.actor(s, 1, 1)
	if err != nil {
		return err
	}
	p.answer("get", func() string {
		info, err := p.sch.Get(p.ctx, s.operands[1])
		if err != nil {
			return say(err)
		}
		said := fmt.Sprintf("%s, attempt %d", info.State, info.Attempt)
		if !info.Next.IsZero() {
			said += ", next " + signed(info.Next.Sub(w.start))
		}
		return said
	})
	return nil
}

// role has a process do one round of a background role, if no other process holds it.
func (w *transcriptWorld) role(s *step, role task.Role) error {
	p, err := w.actor(s, 0, 0)
	if err != nil {
		return err
	}
	p.answer(s.command, func() string {
		held, err := p.sch.Once(p.ctx, role)
		if err == nil && !held {
			return "another process holds the role"
		}
		return say(err)
	})
	return nil
}

// claim has n callers of Consume wait, and then lets the process claim.
func (w *transcriptWorld) claim(s *step) error {
	p, err := w.actor(s, 0, 0)
	if err != nil {
		return err
	}
	n, err := s.number("n", 1)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	handed := make(chan *triggerhook.Delivery, n)
	for range n {
		go func() {
			if d, err := p.sch.Consume(ctx); err == nil {
				handed <- d
			}
		}()
	}
	synctest.Wait()
	p.openClaims(true)
	synctest.Wait()
	p.openClaims(false)
	cancel()
	synctest.Wait()
	var all []*triggerhook.Delivery
	for range len(handed) {
		all = append(all, <-handed)
	}
	slices.SortFunc(all, func(a, b *triggerhook.Delivery) int { return cmp.Compare(a.ID, b.ID) })
	for _, d := range all {
		p.takes(d)
	}
	return nil
}

// takes notes that a delivery was handed out, and later that it has ended, unless its caller has
// answered.
func (p *proc) takes(d *triggerhook.Delivery) {
	p.deliveries[d.ID] = d
	p.w.add(note{p: p, text: fmt.Sprintf("is handed %s, attempt %d", d.ID, d.Attempt), rank: rankAnswer})
	context.AfterFunc(d.Context(), func() {
		if cause := context.Cause(d.Context()); p.is(false) && !errors.Is(cause, triggerhook.ErrSettled) {
			p.w.add(note{p: p, text: fmt.Sprintf("delivery of %s ends: %s", d.ID, say(cause)), rank: rankEnd})
		}
	})
}

// openClaims lets claims pass, and wakes the process, or closes the gate.
func (p *proc) openClaims(open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.claims = open; open && p.wake != nil {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// delivery is the one that a step names.
func (w *transcriptWorld) delivery(s *step) (*proc, *triggerhook.Delivery, error) {
	p, err := w.actor(s, 1, 1)
	if err != nil {
		return nil, nil, err
	}
	d := p.deliveries[s.operands[1]]
	if d == nil {
		return nil, nil, fmt.Errorf("%s was handed no %s", p.name, s.operands[1])
	}
	return p, d, nil
}

func (w *transcriptWorld) confirm(s *step) error {
	p, d, err := w.delivery(s)
	if err != nil {
		return err
	}
	p.answer("confirm", func() string { return say(d.Confirm(p.ctx)) })
	return nil
}

func (w *transcriptWorld) rollback(s *step) error {
	p, d, err := w.delivery(s)
	if err != nil {
		return err
	}
	delay, err := s.span("delay", 0)
	if err != nil {
		return err
	}
	p.answer("rollback", func() string { return say(d.Rollback(p.ctx, delay)) })
	return nil
}

// drain ends Run.
func (w *transcriptWorld) drain(s *step) error {
	p, err := w.actor(s, 0, 0)
	if err != nil {
		return err
	}
	if p.done == nil {
		return fmt.Errorf("%s does not run", p.name)
	}
	p.answer("stop", func() string {
		p.stop()
		err := <-p.done
		p.done <- err
		return say(err)
	})
	return nil
}

func (w *transcriptWorld) crash(s *step) error {
	p, err := w.actor(s, 0, 0)
	if err == nil {
		p.die("here")
	}
	return err
}

// reach cuts a process off from a store, or from the elections that it takes part in by itself, or ends that.
func (w *transcriptWorld) reach(s *step, cut bool) error {
	p, err := w.actor(s, 1, 1)
	if err != nil {
		return err
	}
	store := s.operands[1]
	if store != "store" && store != "set" && store != "elections" {
		return fmt.Errorf("%s is no store, want store, set or elections", store)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut[store] = cut
	return nil
}

// arrive lets the calls arrive that are on their way.
func (w *transcriptWorld) arrive(s *step) error {
	p, err := w.actor(s, 1, 1)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.late[s.operands[1]]) == 0 {
		return fmt.Errorf("no %s of %s is on its way", s.operands[1], p.name)
	}
	for _, c := range p.late[s.operands[1]] {
		close(c)
	}
	delete(p.late, s.operands[1])
	return nil
}

func (w *transcriptWorld) flush(s *step) error {
	if err := s.count(0, 0); err != nil {
		return err
	}
	return w.hot[0].flush()
}

func (w *transcriptWorld) advance(s *step) error {
	if err := s.count(1, 1); err != nil {
		return err
	}
	d, err := time.ParseDuration(s.operands[0])
	if err != nil || d <= 0 {
		return fmt.Errorf("advance %s, want a length of time above zero", s.operands[0])
	}
	<-time.After(d) // by the clock of the bubble
	return nil
}
