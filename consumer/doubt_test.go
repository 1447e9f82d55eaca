package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

// A confirm that deleted its row, and did not hear so, meets no row when it tries
// again: it was this one nevertheless. Who was never sent is not said to be.
func TestAConfirmWhoseOwnAnswerWasLostHasSucceeded(t *testing.T) {
	for name, c := range map[string]struct {
		lost func(task.Ref) error
		want error
	}{
		"the answer was lost":             {func(r task.Ref) error { return &task.UnsureError{Refs: []task.Ref{r}, Err: task.ErrUnavailable} }, nil},
		"the answer came too late":        {func(task.Ref) error { return context.DeadlineExceeded }, nil},
		"another call deleted it":         {func(task.Ref) error { return task.ErrUnavailable }, task.ErrGone},
		"another one's answer was lost":   {func(task.Ref) error { return &task.UnsureError{Refs: []task.Ref{{ID: "b"}}, Err: task.ErrUnavailable} }, task.ErrGone},
		"the store took no writes before": {func(task.Ref) error { return task.ErrReadOnly }, task.ErrGone},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, consumer.Options{}, func(k *kit) {
				k.add(1, false)
				k.run()
				d := k.consume()
				k.store.lost = fmt.Errorf("delete: %w", c.lost(k.store.byID[d.ID].Ref))
				if err := d.Confirm(k.Context()); !errors.Is(err, c.want) {
					k.Errorf("Confirm: %v, want %v", err, c.want)
				}
				k.stop()
			})
		})
	}
}

// A confirm whose first try never reached the store, and whose task was rescheduled
// before the second, has deleted nothing.
func TestAConfirmOfWhatWasRescheduledMeanwhileIsGone(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.add(1, false)
		k.run()
		d := k.consume()
		ref := k.store.byID[d.ID].Ref
		k.store.lost = &task.UnsureError{Refs: []task.Ref{ref}, Err: task.ErrUnavailable}
		k.store.instead = func() { k.store.byID[d.ID] = task.Row{Ref: task.Ref{ID: d.ID, Ver: 1 << 40}, PrevVer: ref.Ver} }
		if err := d.Confirm(k.Context()); !errors.Is(err, task.ErrGone) {
			k.Errorf("Confirm: %v, want ErrGone", err)
		}
		if k.store.len() != 1 {
			k.Error("the rescheduled row is gone")
		}
		k.stop()
	})
}

// A lease that is over by this process's clock lives on where an extension whose
// answer was lost kept it. The rollback keeps its delay.
func TestARollbackKeepsItsDelayBeyondALeaseThatSeemsOver(t *testing.T) {
	bubble(t, consumer.Options{Lease: 6 * time.Second}, func(k *kit) {
		k.add(1, false)
		k.run()
		d := k.consume()
		k.set.mu.Lock()
		k.set.mute = true
		k.set.mu.Unlock()
		at := time.Now()
		const delay = 20 * time.Second
		done := make(chan error, 1)
		go func() { done <- d.Rollback(context.Background(), delay) }()
		<-d.Context().Done()
		<-time.After(2 * time.Second)
		synctest.Wait()
		k.set.mu.Lock()
		k.set.mute = false
		k.set.mu.Unlock()
		if err := <-done; err != nil {
			k.Errorf("Rollback: %v", err)
		}
		d = k.consume()
		if took := time.Since(at); took < delay || took > 2*delay || d.Attempt != 2 {
			k.Errorf("offered again after %s as attempt %d, want after %s as attempt 2", took, d.Attempt, delay)
		}
		d.ConfirmAsync()
		k.stop()
	})
}

func TestADeliveryMadeByHandSettlesToNothing(t *testing.T) {
	d := &consumer.Delivery{Task: task.Task{ID: "a"}, Attempt: 1}
	if d.Context().Err() != nil {
		t.Error("its context has ended")
	}
	if err := d.Confirm(t.Context()); err != nil {
		t.Errorf("Confirm: %v", err)
	}
	if err := d.Rollback(t.Context(), 0); !errors.Is(err, task.ErrSettled) {
		t.Errorf("Rollback after Confirm: %v, want ErrSettled", err)
	}
	d.ConfirmAsync()
	(&consumer.Delivery{}).ConfirmAsync()
}
