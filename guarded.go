package triggerhook

import (
	"context"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

// guarded is a Set whose removals are tried again until they land (rule 2): the
// row is gone by then, and a member left behind would fire without one. A removal
// that is repeated after the server lost its data does no harm.
//
// A goroutine exists only while removals wait, and ends with the last of them.
type guarded struct {
	hotset.Set
	report *report.Reporter

	mu      sync.Mutex
	waiting []removal
}

type removal struct {
	p     int
	token string
	refs  []task.Ref
}

// Remove removes, and if that fails goes on trying after it has returned the error.
func (g *guarded) Remove(ctx context.Context, p int, token string, refs []task.Ref) ([]task.Answer, error) {
	answers, err := g.Set.Remove(ctx, p, token, refs)
	if err == nil {
		return answers, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, removal{p, token, append([]task.Ref(nil), refs...)})
	if len(g.waiting) == 1 {
		go g.repeat()
	}
	return answers, err
}

func (g *guarded) repeat() {
	for {
		g.mu.Lock()
		r := g.waiting[0]
		g.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, err := g.Set.Remove(ctx, r.p, r.token, r.refs)
		cancel()
		if err != nil {
			g.report.Error("remove from the hot set", err, "tried again until it lands")
			sleep(context.Background(), 200*time.Millisecond)
			continue
		}
		g.mu.Lock()
		g.waiting = g.waiting[1:]
		done := len(g.waiting) == 0
		if done {
			g.waiting = nil
		}
		g.mu.Unlock()
		if done {
			return
		}
	}
}
