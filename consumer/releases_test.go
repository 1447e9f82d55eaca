package consumer_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

// takenAtOnce returns n deliveries of one claim.
func (k *kit) takenAtOnce(n int) []*consumer.Delivery {
	k.Helper()
	all := make([]*consumer.Delivery, n)
	var callers sync.WaitGroup
	for i := range all {
		callers.Go(func() { all[i] = k.consume() })
	}
	synctest.Wait()
	k.add(n, false)
	callers.Wait()
	return all
}

// allRolledBack rolls all of them back at the same time, each with its delay, and returns the answers.
func (k *kit) allRolledBack(all []*consumer.Delivery, delay func(i int) time.Duration) []error {
	errs := make([]error, len(all))
	var callers sync.WaitGroup
	for i, d := range all {
		callers.Go(func() { errs[i] = d.Rollback(k.Context(), delay(i)) })
	}
	callers.Wait()
	return errs
}

func (k *kit) releasesTried() int {
	k.set.mu.Lock()
	defer k.set.mu.Unlock()
	return k.set.releases
}

// What goes back at the same time shares calls, and each task comes again after its own delay.
func TestRollbacksShareCalls(t *testing.T) {
	const n = 60
	bubble(t, consumer.Options{}, func(k *kit) {
		k.run()
		all := k.takenAtOnce(n)
		k.set.slowReturn = 10 * time.Millisecond
		began := time.Now()
		for i, err := range k.allRolledBack(all, func(i int) time.Duration { return time.Duration(i%3) * time.Second }) {
			if err != nil {
				k.Errorf("Rollback of %s: %v", all[i].ID, err)
			}
		}
		if took := time.Since(began); took > 20*time.Millisecond {
			k.Errorf("%d rollbacks took %s, want the time of at most two calls", n, took)
		}
		if calls := k.releasesTried(); calls > 12 {
			k.Errorf("%d rollbacks of one batch and three delays took %d calls, want at most 12", n, calls)
		}
		delay := map[string]time.Duration{}
		for i, d := range all {
			delay[d.ID] = time.Duration(i%3) * time.Second
		}
		for range n {
			d := k.consume()
			if d.Attempt != 2 {
				k.Errorf("%s comes in attempt %d, want 2", d.ID, d.Attempt)
			}
			if late := time.Since(began) - delay[d.ID]; late < 0 || late > 100*time.Millisecond {
				k.Errorf("%s comes %s after its delay of %s, want soon after it", d.ID, late, delay[d.ID])
			}
			delete(delay, d.ID)
			d.ConfirmAsync()
		}
		if len(delay) > 0 {
			k.Errorf("%d tasks do not come again", len(delay))
		}
		k.stop()
	})
}

// Each caller has the outcome of its own task, and each of them tries again.
func TestRollbacksThatShareACallHaveTheirOwnOutcomes(t *testing.T) {
	const n = 30
	bubble(t, consumer.Options{}, func(k *kit) {
		k.run()
		all := k.takenAtOnce(n)
		k.set.slowReturn = 10 * time.Millisecond
		for i := range all {
			if i%3 == 0 {
				ref := k.store.byID[all[i].ID].Ref
				k.deleteRow(all[i])
				k.remove(ref)
			}
		}
		k.set.mu.Lock()
		k.set.mute = true
		k.set.mu.Unlock()
		time.AfterFunc(time.Second, func() {
			k.set.mu.Lock()
			defer k.set.mu.Unlock()
			k.set.mute = false
		})
		for i, err := range k.allRolledBack(all, func(int) time.Duration { return 0 }) {
			if gone := i%3 == 0; gone != errors.Is(err, task.ErrGone) || !gone && err != nil {
				k.Errorf("Rollback of %s, gone %t: %v", all[i].ID, gone, err)
			}
		}
		k.stop()
	})
}
