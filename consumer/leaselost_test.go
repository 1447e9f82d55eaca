package consumer_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/task"
)

// losses are the lost leases that a hook was told of.
type losses struct {
	mu  sync.Mutex
	all []hook.LeaseLost
}

func (l *losses) add(e hook.LeaseLost) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, e)
}

// wantLost checks that the hook was told once, and that the delivery of that id is in the event.
func (k *kit) wantLost(l *losses, id string) {
	k.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, e := range l.all {
		for _, one := range e.Tasks {
			if one.ID == id && one.Attempt == 1 {
				n++
			}
		}
	}
	if n != 1 {
		k.Errorf("the hook was told %d times that the lease of %q was lost, want once: %+v", n, id, l.all)
	}
}

// A worker that registers what it holds with a new generation meets a task that another worker has by
// then: that lease is lost, and the hook is told so.
func TestWhatAnotherWorkerHasIsALostLease(t *testing.T) {
	var lost losses
	bubble(t, consumer.Options{Hooks: hook.Hooks{LeaseLost: lost.add}}, func(k *kit) {
		k.add(1, false)
		k.run()
		d := k.consume()
		k.set.mu.Lock()
		back := task.ReleaseRequest{Token: k.set.token, Refs: []task.Ref{{ID: d.ID, Ver: 1}}, AtNext: true}
		k.set.aborted = 1
		k.set.mu.Unlock()
		if a, err := k.set.Set.Release(k.Context(), 0, back); err != nil || a[0] != task.ReleaseWaiting {
			k.Fatalf("Release by another process: %v, %v", a, err)
		}
		if b, err := k.set.Set.Claim(k.Context(), 0, task.ClaimRequest{Token: "another", Limit: 1, Lease: time.Minute}); err != nil || len(b.Claims) != 1 {
			k.Fatalf("Claim by another process: %v, %v", b, err)
		}
		<-d.Context().Done()
		synctest.Wait()
		k.wantLost(&lost, d.ID)
		k.stop()
	})
}
