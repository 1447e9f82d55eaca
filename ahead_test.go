package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// offers notes when each task may be delivered next, and what came before that.
type offers struct {
	mu    sync.Mutex
	next  map[string]time.Time
	tries map[string]int
	done  int
	early []string
}

// take notes a delivery, and returns how often the task has come.
func (o *offers) take(id string) int {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Before(o.next[id]) {
		o.early = append(o.early, fmt.Sprint(id, " by ", o.next[id].Sub(now)))
	}
	o.tries[id]++
	return o.tries[id]
}

// postpone notes that a task is not to come again for that long.
func (o *offers) postpone(id string, d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next[id] = time.Now().Add(d)
}

// With ClaimAhead no task comes before it is due, nor before the delay of a retry is over, and none is lost, while workers end, which give back what they
// have claimed ahead, and others begin.
func TestClaimsAheadAreNeverEarly(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("mysql97+redis7/p%d", partitions), func(t *testing.T) {
			t.Parallel()
			const n, rounds, delay = 600, 6, 30 * time.Millisecond
			s := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), partitions)
			o := &offers{next: map[string]time.Time{}, tries: map[string]int{}}
			producer := s.scheduler(t, triggerhook.Options{})
			stop := run(t, producer)
			first := time.Now().Add(2 * time.Second).Truncate(time.Millisecond)
			tasks := make([]*triggerhook.Task, n)
			for i := range tasks {
				tasks[i] = &triggerhook.Task{ID: fmt.Sprintf("t%03d", i), Due: first.Add(time.Duration(i) * 5 * time.Millisecond)}
				o.next[tasks[i].ID] = tasks[i].Due
			}
			if err := producer.Create(t.Context(), tasks...); err != nil {
				t.Fatal(err)
			}
			stop()
			handle := func(_ context.Context, d *triggerhook.Delivery) error {
				if o.take(d.ID)%3 != 0 {
					o.postpone(d.ID, delay) // before the delay begins
					return triggerhook.RetryAfter(delay)
				}
				o.mu.Lock()
				defer o.mu.Unlock()
				o.done++
				return nil
			}
			var workers sync.WaitGroup
			for place := range 3 { // others take at once what an ending worker gives back
				workers.Go(func() {
					for round := 0; round < rounds || !o.all(n); round++ {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(500+100*place)*time.Millisecond)
						worker := s.scheduler(t, triggerhook.Options{ClaimAhead: 25 * time.Millisecond, Lease: time.Second})
						if err := worker.Handle(ctx, 16, handle); err != nil && !errors.Is(err, triggerhook.ErrUnavailable) { // that it was stopped before it had begun
							t.Errorf("Handle: %v", err)
						}
						if cancel(); round > 200 {
							t.Errorf("after %d workers not all of %d tasks are done", round, n)
							return
						}
					}
				})
			}
			workers.Wait()
			if len(o.early) > 0 {
				t.Errorf("%d deliveries came early: %s", len(o.early), o.early[:min(5, len(o.early))])
			}
		})
	}
}

func (o *offers) all(n int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.done >= n
}
