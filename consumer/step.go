package consumer

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Step is Run for tests with a clock that is moved by hand: it claims one task that is due by the hot
// set's clock, has handle called for it in this goroutine, as Handle does, and returns once its settlement is in both stores. False: no
// task is due. now is the hot set's clock, in whole milliseconds. Nothing runs between two calls.
//
// Options.MaxRate, Interval and MaxInFlight do not apply. After the first Step Run answers task.ErrRunning. One goroutine at a time calls Step. It calls whatever handle
// calls, so it ends with the goroutine if handle ends that (runtime.Goexit); the delivery is rolled back then.
func (c *Consumer) Step(ctx context.Context, now func() time.Time, handle func(context.Context, *Delivery) error) (bool, error) {
	if err := c.beginSteps(); err != nil {
		return false, err
	}
	for p := range c.o.Partitions {
		for {
			d, more, err := c.claimOne(ctx, p, now)
			if err != nil {
				return false, fmt.Errorf("step: %w", err)
			}
			if d != nil {
				c.stepOne(handle, d)
				return true, nil
			}
			if !more {
				break
			}
		}
	}
	return false, nil
}

// beginSteps lets Step and settlements work as if Run ran.
func (c *Consumer) beginSteps() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stage == notRun:
		c.stage, c.stepped = running, true
		close(c.running)
	case c.stage == closed:
		return fmt.Errorf("step: %w", task.ErrClosed)
	case !c.stepped:
		return fmt.Errorf("step: %w", task.ErrRunning)
	}
	return nil
}

// claimOne claims one task and takes it into a caller's hands. If d is nil and more is set, a task was claimed that is not
// handed out: it has no row, or becomes a dead letter. Then there may be others.
func (c *Consumer) claimOne(ctx context.Context, p int, now func() time.Time) (d *Delivery, more bool, err error) {
	sent := time.Now()
	got, err := c.set.Claim(ctx, p, task.ClaimRequest{Token: rand.Text(), Limit: 1, Lease: c.o.Lease})
	if err != nil || len(got.Claims) == 0 {
		return nil, false, err
	}
	c.mu.Lock()
	c.reading = clockReading{us: got.AsOf.TimeUS, sent: now(), mid: now(), clock: now}
	c.mu.Unlock()
	b := c.addBatch(p, got, sent, time.Now())
	c.tellClaimed(b)
	c.accept(ctx, b, got.Claims)
	c.raises.Wait()
	c.mu.Lock()
	if c.queue.len() > 0 {
		d = c.queue.pop()
	}
	c.mu.Unlock()
	if d != nil && c.handOrReturn(ctx, d) {
		return d, true, nil
	}
	<-c.settler.allComplete() // of a burial
	return nil, true, nil
}

// stepOne has d handled and settled, while its lease is kept.
func (c *Consumer) stepOne(handle func(context.Context, *Delivery) error, d *Delivery) {
	keep, stop := context.WithCancel(context.Background())
	var keeper sync.WaitGroup
	keeper.Go(func() { c.keep(keep) })
	defer func() {
		<-c.settler.allComplete()
		stop()
		keeper.Wait()
	}()
	h := &Handlers{c: c, handle: handle, size: 1, start: time.Now(), loops: map[*handlerLoop]bool{}}
	h.handleOne(&handlerLoop{}, d)
}
