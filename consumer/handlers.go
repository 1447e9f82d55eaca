package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triggerhook/triggerhook/internal/verdict"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// lastWait is how long Stop waits for handlers whose contexts have ended, and then for
	// the settlements that follow.
	lastWait = 2 * time.Second
	// stuckPause is how long after a warning of stuck handlers the next one may come.
	stuckPause = 10 * time.Second
	// namedIDs is how many IDs a warning or an error names.
	namedIDs = 10
)

// Handlers are the goroutines of one Scheduler.Handle. Each of them takes one delivery after the other, calls the handler
// for it, and settles it.
//
// A handler is the caller's code: it may panic, end its goroutine (runtime.Goexit, which a
// test's FailNow is), ignore its context, or never return. It is stuck once it has run for
// DeliveryTimeout. Invariants, under mu:
//
//	H1  When a handler has returned, in whatever way, its delivery is settled.
//	H2  As many loops as were asked for (size) are not stuck, unless there are twice as many loops as that.
//	H3  A loop whose handler was stuck ends when the handler returns, if another loop runs in its place.
//
// The keeper's goroutine calls replaceStuck; each loop's goroutine owns its loop.
type Handlers struct {
	c      *Consumer
	handle func(context.Context, *Delivery) error
	size   int             // how many loops were asked for
	start  time.Time       // what handlerLoop.began counts from
	calls  context.Context // of the calls of Consume
	cancel context.CancelFunc

	mu     sync.Mutex
	loops  map[*handlerLoop]bool
	stuck  int           // how many loops have a stuck handler
	ended  chan struct{} // made by Stop, closed when no loop is left
	untold int           // how many became stuck since the last warning
	told   time.Time     // when that warning was; zero once no handler is stuck
}

// handlerLoop is one goroutine that handles deliveries, one after the other.
type handlerLoop struct {
	began   atomic.Int64 // when its handler was called, in ns after Handlers.start; or waits, or isStuck
	current atomic.Pointer[Delivery]
	surplus bool // its handler was stuck, and its replacement runs
}

// The values of handlerLoop.began that are no time.
const (
	waits   int64 = 0  // the loop waits for a delivery
	isStuck int64 = -1 // its handler is stuck, and counted in Handlers.stuck
)

// errGoexit stands for the result of a handler that ended its goroutine.
var errGoexit = errors.New("handler ended its goroutine (runtime.Goexit)")

// Handle starts loops, as many as concurrency says. They wait for Run. When Run has returned, or
// could not begin, Stop ends them.
func (c *Consumer) Handle(concurrency int, handle func(context.Context, *Delivery) error) *Handlers {
	h := &Handlers{c: c, handle: handle, size: concurrency, start: time.Now(), loops: map[*handlerLoop]bool{}}
	h.calls, h.cancel = context.WithCancel(context.Background())
	h.mu.Lock()
	defer h.mu.Unlock()
	for range concurrency {
		h.spawn()
	}
	c.handlers.Store(h)
	return h
}

// spawn starts a loop. Under mu.
func (h *Handlers) spawn() {
	l := &handlerLoop{}
	h.loops[l] = true
	go h.run(l)
}

// run handles deliveries until Consume answers an error. If a handler ends the goroutine another one goes on in its
// place.
func (h *Handlers) run(l *handlerLoop) {
	returned := false
	defer func() {
		if returned || l.surplus {
			h.leave(l)
		} else {
			go h.run(l)
		}
	}()
	for !l.surplus {
		d, err := h.c.Consume(h.calls)
		if err != nil {
			break
		}
		h.handleOne(l, d)
	}
	returned = true
}

// handleOne has a delivery handled, and settles it.
func (h *Handlers) handleOne(l *handlerLoop, d *Delivery) {
	err := errGoexit // unless call returns
	l.current.Store(d)
	l.began.Store(int64(time.Since(h.start)) + 1)
	defer func() {
		defer h.returned(l)
		h.settle(d, err)
	}()
	err = call(h.handle, d)
}

// call calls the handler. If it panics the error is a panicError.
func call(handle func(context.Context, *Delivery) error, d *Delivery) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, debug.Stack()}
		}
	}()
	return handle(d.Context(), d)
}

// panicError is what a handler panicked with.
type panicError struct {
	value any
	stack []byte
}

// Error implements error, with the stack.
func (e *panicError) Error() string { return fmt.Sprintf("handler panicked: %v\n%s", e.value, e.stack) }

// panicStack is an error that some layer has made of a panic, as middleware.Recover does, with the stack of the panic.
type panicStack interface{ PanicStack() []byte }

// settle settles d as its handler's result says, unless the handler has settled it.
func (h *Handlers) settle(d *Delivery, err error) {
	bySelf := d.settlement.is(settled) // the handler has settled it
	switch {
	case err == nil && bySelf:
	case err == nil:
		d.ConfirmAsync()
	case bySelf:
		h.log(d, "handler failed after it had settled its delivery", err)
	default:
		gone := d.isGone(err)
		h.c.fail(d, err, func(a afterFailure) {
			if gone {
				h.log(d, "handler ended, and its task was gone", err)
			} else {
				h.log(d, a.message(), err)
				h.c.tellFailed(d, err)
			}
			err := d.settleFailed(context.Background(), a)
			if !errors.Is(err, task.ErrSettled) && !errors.Is(err, task.ErrGone) {
				h.c.o.Report.Error("give back after a handler's error", err, "the lease ends by itself")
			}
		})
	}
}

// log logs how a handler ended: at Warn if it panicked, also if a middleware has recovered the panic, or called runtime.Goexit; otherwise
// at Info.
func (h *Handlers) log(d *Delivery, message string, err error) {
	log, attrs := h.c.o.Report.Info, []any{"id", d.own.ID, "attempt", d.failedAttempts + 1, "error", err}
	if recovered := panicStack(nil); errors.As(err, &recovered) {
		log, attrs = h.c.o.Report.Warn, append(attrs, "stack", string(recovered.PanicStack()))
	} else if panicked := (*panicError)(nil); errors.As(err, &panicked) || err == errGoexit {
		log = h.c.o.Report.Warn
	}
	log(message, attrs...)
}

// isGone reports whether a handler returned err because the task of d is done, deleted or moved. That is no failure: a task may be
// delivered twice, and the transaction of ConfirmTx finds out that it was done before.
func (d *Delivery) isGone(err error) bool { return verdict.Gone(d.Context(), err) }

// message says in the log what became of a task after its handler returned an error.
func (a afterFailure) message() string {
	switch {
	case a.bury:
		return "handler failed, and its task is a dead letter: " + a.reason
	case !a.back.counted:
		return "handler snoozed its task"
	default:
		return "handler failed"
	}
}

// returned notes that l's handler has returned, and its delivery is settled.
func (h *Handlers) returned(l *handlerLoop) {
	l.current.Store(nil)
	if l.began.Swap(waits) != isStuck {
		return
	}
	h.mu.Lock()
	h.stuck--
	l.surplus = len(h.loops)-h.stuck > h.size
	last := h.stuck == 0 && !h.told.IsZero()
	if last {
		h.told, h.untold = time.Time{}, 0
	}
	h.mu.Unlock()
	if last {
		h.c.o.Report.Info("no handler is stuck any more")
	}
}

// leave notes that l has ended.
func (h *Handlers) leave(l *handlerLoop) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.loops, l)
	if len(h.loops) == 0 && h.ended != nil {
		close(h.ended)
	}
}

// replaceStuck finds the handlers that have become stuck, and starts loops in their place while Run
// hands out.
func (h *Handlers) replaceStuck() {
	h.mu.Lock()
	h.markStuck()
	for h.ended == nil && !h.c.draining() && len(h.loops)-h.stuck < h.size && len(h.loops) < 2*h.size {
		h.spawn()
	}
	stuck, free := h.stuck, len(h.loops)-h.stuck
	tell := h.untold > 0 && stuck > 0 && (h.told.IsZero() || time.Since(h.told) >= stuckPause)
	var ids []string
	if tell {
		h.told, h.untold = time.Now(), 0
		ids = h.current(func(l *handlerLoop) bool { return l.began.Load() == isStuck })
	}
	h.mu.Unlock()
	if tell { // not under mu: the logger is the caller's code, too
		h.c.o.Report.Warn("handlers are stuck: they have run for longer than DeliveryTimeout", "stuck", stuck, "free", free,
			"concurrency", h.size, "delivery_timeout", h.c.o.DeliveryTimeout, "ids", name(ids))
	}
}

// markStuck notes which handlers have become stuck. Under mu.
func (h *Handlers) markStuck() {
	now := int64(time.Since(h.start)) + 1
	for l := range h.loops {
		at := l.began.Load()
		if at > waits && now-at >= int64(h.c.o.DeliveryTimeout) && l.began.CompareAndSwap(at, isStuck) {
			h.stuck++
			h.untold++
		}
	}
}

// current returns the IDs of what some loops are handling. Under mu.
func (h *Handlers) current(which func(*handlerLoop) bool) (ids []string) {
	for l := range h.loops {
		if d := l.current.Load(); d != nil && which(l) {
			ids = append(ids, d.own.ID)
		}
	}
	return ids
}

// name names some of ids.
func name(ids []string) string {
	var b strings.Builder
	for i, id := range ids[:min(len(ids), namedIDs)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", id)
	}
	if more := len(ids) - namedIDs; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}

// Stuck is how many handlers have run for longer than DeliveryTimeout.
func (h *Handlers) Stuck() int {
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stuck
}

// Stop ends the loops, once Run has returned. It waits up to lastWait for handlers to
// return, and for the settlements that follow. task.ErrAbandoned: some did not return; it names
// their deliveries.
func (h *Handlers) Stop() error {
	h.cancel()
	h.mu.Lock()
	h.ended = make(chan struct{})
	if len(h.loops) == 0 {
		close(h.ended)
	}
	h.mu.Unlock()
	wait := time.NewTimer(lastWait)
	defer wait.Stop()
	select {
	case <-h.ended:
	case <-wait.C:
		return h.abandoned()
	}
	select {
	case <-h.c.settler.allComplete():
	case <-wait.C: // settlements that are still under way report their failures
	}
	return nil
}

// abandoned returns the error that names what Stop leaves.
func (h *Handlers) abandoned() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := h.current(func(*handlerLoop) bool { return true })
	if len(ids) == 0 {
		return nil // the last one has returned just now
	}
	return fmt.Errorf("%d deliveries: %w, Drain (%s) and %s after the end of its context: %s", len(ids), task.ErrAbandoned,
		h.c.o.Drain, lastWait, name(ids))
}
