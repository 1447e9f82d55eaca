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

	"github.com/triggerhook/triggerhook/task"
)

const (
	// lastWait is how long Stop waits for handlers whose contexts have ended, and then for
	// the answers that they gave.
	lastWait = 2 * time.Second
	// stuckPause is how long after a warning of stuck handlers the next one may come.
	stuckPause = 10 * time.Second
	// namedIDs is how many IDs a warning or an error names.
	namedIDs = 10
)

// Handlers are the workers of one Scheduler.Handle: goroutines that call a handler for
// each delivery, and answer it.
//
// A handler is the caller's code: it may panic, end its goroutine (runtime.Goexit, which a
// test's FailNow is), ignore its context, or never return. It is stuck once it has run for
// DeliveryTimeout. Invariants, under mu:
//
//	H1  A delivery that a handler returned from, in whatever way, is answered.
//	H2  As many workers as were asked for are not stuck, unless there are twice as many.
//	H3  A worker whose handler was stuck ends with it if its replacement works.
//
// The keeper's goroutine calls look; each worker's goroutine owns its worker.
type Handlers struct {
	c      *Consumer
	handle func(context.Context, *Delivery) error
	size   int
	start  time.Time // what worker.began counts from
	calls  context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	workers map[*worker]bool
	stuck   int           // of workers
	ended   chan struct{} // made by Stop, closed when no worker is left
	untold  int           // became stuck since the last warning
	told    time.Time     // when that was
}

// worker is one goroutine that handles deliveries, one after the other.
type worker struct {
	began   atomic.Int64 // when its handler was called, or one of:
	current atomic.Pointer[Delivery]
	surplus bool // its handler was stuck, and its replacement works
}

const (
	waits   int64 = 0  // for a delivery
	isStuck int64 = -1 // counted in Handlers.stuck
)

// errGoexit stands for the answer of a handler that ended its goroutine.
var errGoexit = errors.New("handler ended its goroutine (runtime.Goexit)")

// Handle starts that many workers. They wait for Run; when it has returned, or could not
// begin, Stop ends them.
func (c *Consumer) Handle(workers int, handle func(context.Context, *Delivery) error) *Handlers {
	h := &Handlers{c: c, handle: handle, size: workers, start: time.Now(), workers: map[*worker]bool{}}
	h.calls, h.cancel = context.WithCancel(context.Background())
	h.mu.Lock()
	defer h.mu.Unlock()
	for range workers {
		h.spawn()
	}
	c.handlers.Store(h)
	return h
}

// spawn starts a worker. Under mu.
func (h *Handlers) spawn() {
	w := &worker{}
	h.workers[w] = true
	go h.work(w)
}

// work handles deliveries until Consume ends. If a handler ends the goroutine another one
// goes on in its place.
func (h *Handlers) work(w *worker) {
	returned := false
	defer func() {
		if returned || w.surplus {
			h.leave(w)
		} else {
			go h.work(w)
		}
	}()
	for !w.surplus {
		d, err := h.c.Consume(h.calls)
		if err != nil {
			break
		}
		h.one(w, d)
	}
	returned = true
}

// one has a delivery handled, and answers it.
func (h *Handlers) one(w *worker, d *Delivery) {
	err := errGoexit // unless call returns
	w.current.Store(d)
	w.began.Store(int64(time.Since(h.start)) + 1)
	defer func() {
		defer h.finish(w)
		h.answer(d, err)
	}()
	err = call(h.handle, d)
}

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

// answer settles d as its handler said, unless the handler has settled it.
func (h *Handlers) answer(d *Delivery, err error) {
	log := h.c.o.Report.Info
	if panicked := (*panicError)(nil); errors.As(err, &panicked) || err == errGoexit {
		log = h.c.o.Report.Warn
	}
	switch {
	case d.answer.is(settled) && err != nil:
		log("handler failed after it had settled its delivery", "id", d.own.ID, "attempt", d.tries+1, "error", err)
	case d.answer.is(settled):
	case err == nil:
		d.ConfirmAsync()
	default:
		log("handler failed", "id", d.own.ID, "attempt", d.tries+1, "error", err)
		h.c.backoff(d.tries+1, func(delay time.Duration) {
			err := d.Rollback(context.Background(), delay)
			if !errors.Is(err, task.ErrSettled) && !errors.Is(err, task.ErrGone) {
				h.c.o.Report.Error("roll back after a handler's error", err, "the lease ends by itself")
			}
		})
	}
}

// finish notes that w's handler has returned, and its delivery is answered.
func (h *Handlers) finish(w *worker) {
	w.current.Store(nil)
	if w.began.Swap(waits) != isStuck {
		return
	}
	h.mu.Lock()
	h.stuck--
	w.surplus = len(h.workers)-h.stuck > h.size
	last := h.stuck == 0 && !h.told.IsZero()
	if last {
		h.told, h.untold = time.Time{}, 0
	}
	h.mu.Unlock()
	if last {
		h.c.o.Report.Info("no handler is stuck any more")
	}
}

// leave ends w.
func (h *Handlers) leave(w *worker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.workers, w)
	if len(h.workers) == 0 && h.ended != nil {
		close(h.ended)
	}
}

// look finds the handlers that have become stuck, and replaces their workers while Run
// hands out.
func (h *Handlers) look() {
	h.mu.Lock()
	h.find()
	for h.ended == nil && !h.c.draining() && len(h.workers)-h.stuck < h.size && len(h.workers) < 2*h.size {
		h.spawn()
	}
	stuck, free := h.stuck, len(h.workers)-h.stuck
	tell := h.untold > 0 && stuck > 0 && (h.told.IsZero() || time.Since(h.told) >= stuckPause)
	var ids []string
	if tell {
		h.told, h.untold = time.Now(), 0
		ids = h.held(func(w *worker) bool { return w.began.Load() == isStuck })
	}
	h.mu.Unlock()
	if tell { // not under mu: the logger is the caller's code, too
		h.c.o.Report.Warn("handlers are stuck: they have run for longer than DeliveryTimeout", "stuck", stuck, "free_workers", free,
			"workers", h.size, "delivery_timeout", h.c.o.DeliveryTimeout, "ids", name(ids))
	}
}

// find notes which handlers have become stuck. Under mu.
func (h *Handlers) find() {
	now := int64(time.Since(h.start)) + 1
	for w := range h.workers {
		at := w.began.Load()
		if at > waits && now-at >= int64(h.c.o.DeliveryTimeout) && w.began.CompareAndSwap(at, isStuck) {
			h.stuck++
			h.untold++
		}
	}
}

// held returns the IDs of what some workers have in hand. Under mu.
func (h *Handlers) held(which func(*worker) bool) (ids []string) {
	for w := range h.workers {
		if d := w.current.Load(); d != nil && which(w) {
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

// Stop ends the workers, once Run has returned. It waits up to lastWait for handlers to
// return, and for what they answered. task.ErrAbandoned: some did not; it names their
// deliveries.
func (h *Handlers) Stop() error {
	h.cancel()
	h.mu.Lock()
	h.ended = make(chan struct{})
	if len(h.workers) == 0 {
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
	case <-h.c.settler.answersDone():
	case <-wait.C: // a failure of what is still under way is reported
	}
	return nil
}

// abandoned says what Stop leaves.
func (h *Handlers) abandoned() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := h.held(func(*worker) bool { return true })
	if len(ids) == 0 {
		return nil // the last has returned just now
	}
	return fmt.Errorf("%d deliveries: %w, Drain (%s) and %s after the end of its context: %s", len(ids), task.ErrAbandoned,
		h.c.o.Drain, lastWait, name(ids))
}
