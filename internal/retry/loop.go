// Package retry retries in the background what has failed.
package retry

import (
	"context"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/internal/wait"
)

// Loop retries what is in a queue, in a goroutine that exists only while the queue has something.
//
// Protocol:
//
//  1. A call that has queued something calls Start after that. The goroutine ends under mu,
//     and only if the queue is empty then, so that nothing waits without a goroutine.
//  2. Hurry makes the next round begin at once.
//  3. Cut ends the goroutine and cancels the call that is under way. Halt also waits until
//     both have ended. The queue stays as it is, and the next Start or Hurry goes on with it.
//
// Lock order: mu, then the lock of the queue, which Waiting takes. The exported fields are set
// before the first call and do not change.
type Loop struct {
	Pause      time.Duration         // between two rounds
	PauseFirst bool                  // the first round comes after a pause too
	Round      func(context.Context) // tries all that waits, once
	Waiting    func() bool           // reports whether something is in the queue

	mu    sync.Mutex
	stop  context.CancelFunc // of the goroutine; nil: there is none
	ended chan struct{}      // closed by the goroutine
	wake  chan struct{}      // ends a pause
}

// Start begins the goroutine if there is none.
func (l *Loop) Start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop != nil {
		return
	}
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	l.ended, l.wake = make(chan struct{}), make(chan struct{}, 1)
	go l.run(ctx, l.ended, l.wake)
}

func (l *Loop) run(ctx context.Context, ended chan<- struct{}, wake <-chan struct{}) {
	defer close(ended)
	for pause := l.PauseFirst; ; pause = true {
		if pause {
			wait.ForWake(ctx, l.Pause, wake)
		}
		if ctx.Err() == nil {
			l.Round(ctx)
		}
		if l.over(ctx) {
			return
		}
	}
}

// over reports whether the goroutine ends, and notes that it does.
func (l *Loop) over(ctx context.Context) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		return true // Cut has noted it
	}
	if l.Waiting() {
		return false
	}
	l.stop()
	l.stop = nil
	return true
}

// Hurry starts a round at once if something waits.
func (l *Loop) Hurry() {
	if !l.Waiting() {
		return
	}
	l.Start()
	l.mu.Lock()
	defer l.mu.Unlock()
	wait.Wake(l.wake)
}

// Cut ends the goroutine, which may be the caller's, and returns a channel that is closed
// once the goroutine has ended; nil if there never was one.
func (l *Loop) Cut() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
	return l.ended
}

// Halt ends the goroutine and returns once it has ended.
func (l *Loop) Halt() {
	if ended := l.Cut(); ended != nil {
		<-ended
	}
}
