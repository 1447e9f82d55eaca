package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triggerhook/triggerhook"
)

const producers = 4

// producer creates tasks one by one, at a steady rate, until it is stopped. A task that
// Create acknowledged joins the run's tasks; after an error it may exist or not.
type producer struct {
	r    *run
	quit context.CancelFunc
	wg   sync.WaitGroup
	n    atomic.Int64

	mu    sync.Mutex
	calls []call
}

// call is one call of Create.
type call struct {
	at   time.Time
	took time.Duration
	err  error
}

func (r *run) produce(ctx context.Context) *producer {
	p := &producer{r: r}
	ctx, p.quit = context.WithCancel(ctx)
	for range producers {
		p.wg.Go(func() {
			tick := time.NewTicker(producers * time.Second / time.Duration(r.size.live))
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					p.create(context.WithoutCancel(ctx))
				}
			}
		})
	}
	return p
}

func (p *producer) create(ctx context.Context) {
	t := &triggerhook.Task{ID: fmt.Sprintf("live%06d", p.n.Add(1)), Payload: make([]byte, 100)}
	c := call{at: time.Now()}
	t.Due = c.at.Add(time.Duration(rand.Int64N(int64(3 * time.Second))))
	c.err = p.r.driver.sch.Create(ctx, t)
	c.took = time.Since(c.at)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, c)
	if c.err == nil {
		p.r.made = append(p.r.made, t.ID)
	}
}

// stop ends the creating; it may be called again.
func (p *producer) stop() {
	p.quit()
	p.wg.Wait()
}

// judge holds the calls that began while Redis was away to nil within limit.
func (p *producer) judge(from, to time.Time, limit time.Duration) {
	var took []float64
	errs := 0
	for _, c := range p.calls {
		if c.at.Before(from) || c.at.After(to) {
			continue
		}
		took = append(took, float64(c.took.Microseconds())/1000)
		if c.err != nil {
			errs++
			p.r.broke("Create while Redis was away: %v", c.err)
		}
	}
	slices.Sort(took)
	p.r.figure("creates_without_redis", float64(len(took)))
	p.r.figure("their_p99_ms", quantile(took, 0.99))
	p.r.figure("their_max_ms", quantile(took, 1))
	p.r.below("p99 of Create without Redis in ms", quantile(took, 0.99), float64(limit.Milliseconds()))
	if len(took) < 10 {
		p.r.broke("only %d creates while Redis was away: the run shows nothing", len(took))
	}
}
