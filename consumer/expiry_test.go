package consumer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

// addExpired puts n tasks into both stores that have expired.
func (k *kit) addExpired(n int) {
	k.Helper()
	asOf, err := k.set.Clock(k.Context(), 0)
	if err != nil {
		k.Fatal(err)
	}
	then := time.Now().Add(-time.Hour).UnixMilli()
	var entries []task.Entry
	k.store.mu.Lock()
	for i := range n {
		ref := task.Ref{ID: fmt.Sprintf("e%06d", i), Ver: int64(i + 1)}
		entries = append(entries, task.Entry{Ref: ref, NextMS: then, DueMS: then, ExpiresMS: then + 1})
		k.store.byID[ref.ID] = task.Row{Ref: ref, NextMS: then, DueMS: then, ExpiresMS: then + 1}
	}
	k.store.mu.Unlock()
	if _, err := k.set.Add(k.Context(), 0, task.AddRequest{AsOf: asOf, Entries: entries}); err != nil {
		k.Fatal(err)
	}
}

// While the durable store is away, expired tasks, which no caller gets, are not all claimed by one process. Once it is back
// all of them become dead letters.
func TestExpiredTasksAreClaimedUpToABound(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		const n = 12_500
		k.store.set(true)
		k.addExpired(n)
		k.load(far)
		k.run()
		defer k.stop()
		ctx, cancel := context.WithTimeout(k.Context(), time.Minute)
		defer cancel()
		for range 500 { // callers that wait, so that each claim takes many
			go func() { _, _ = k.c.Consume(ctx) }()
		}
		<-time.After(20 * time.Second)
		if got := k.state().Claimed; got < 1000 || got > 10_000+1000 {
			k.Errorf("%d expired tasks are claimed, want some, and not all %d", got, n)
		}
		k.store.set(false)
		<-time.After(30 * time.Second)
		k.store.mu.Lock()
		dead, left := len(k.store.dead), len(k.store.byID)
		k.store.mu.Unlock()
		if st := k.state(); dead != n || left != 0 || st.Claimed+st.Waiting != 0 {
			k.Errorf("%d are dead and %d rows are left, and the hot set has %+v; want %d and none", dead, left, st, n)
		}
	})
}
