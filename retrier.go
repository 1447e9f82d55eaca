package triggerhook

import (
	"context"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/internal/wait"
)

// retrier tries what waits in a queue, in a goroutine that exists only while something does.
//
// Protocol:
//  1. A call that has queued something calls start after that. The goroutine ends under mu,
//     and only if the queue is empty then, so that nothing waits without a goroutine.
//  2. hurry has the next round begin at once.
//  3. cut ends the goroutine and cuts off the call that is under way; halt waits for that
//     too. What waits stays in the queue, and the next start or hurry goes on with it.
//
// Lock order: mu, then the lock of the queue, which waiting takes.
type retrier struct {
	pause   time.Duration         // between two rounds
	rest    bool                  // the first round comes after a pause too
	round   func(context.Context) // tries all that waits, once
	waiting func() bool           // something is in the queue

	mu    sync.Mutex
	stop  context.CancelFunc // of the goroutine; nil: there is none
	ended chan struct{}      // closed by the goroutine
	wake  chan struct{}      // ends a pause
}

// start begins the goroutine if there is none.
func (r *retrier) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		return
	}
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	r.ended, r.wake = make(chan struct{}), make(chan struct{}, 1)
	go r.run(ctx, r.ended, r.wake)
}

func (r *retrier) run(ctx context.Context, ended chan<- struct{}, wake <-chan struct{}) {
	defer close(ended)
	for rest := r.rest; ; rest = true {
		if rest {
			wait.ForWake(ctx, r.pause, wake)
		}
		if ctx.Err() == nil {
			r.round(ctx)
		}
		if r.over(ctx) {
			return
		}
	}
}

// over reports whether the goroutine ends, and notes that it does.
func (r *retrier) over(ctx context.Context) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return true // halt has noted it
	}
	if r.waiting() {
		return false
	}
	r.stop()
	r.stop = nil
	return true
}

// hurry has what waits tried at once.
func (r *retrier) hurry() {
	if !r.waiting() {
		return
	}
	r.start()
	r.mu.Lock()
	defer r.mu.Unlock()
	wait.Wake(r.wake)
}

// cut has the goroutine end, which may be the caller's, and returns what is closed then.
func (r *retrier) cut() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
	return r.ended
}

// halt ends the goroutine and returns once it has ended.
func (r *retrier) halt() {
	if ended := r.cut(); ended != nil {
		<-ended
	}
}
