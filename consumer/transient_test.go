package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

// Whatever the store answers for a minute, a Confirm waits for it, at a growing distance,
// and is told the truth: what was done is not done twice.
func TestConfirmWaitsForWhateverMayPass(t *testing.T) {
	for name, err := range map[string]error{
		"unknown":      errors.New("Error 4711: of an unknown proxy"),
		"disk full":    fmt.Errorf("commit: %w", task.ErrDiskFull),
		"read-only":    task.ErrReadOnly,
		"refused":      fmt.Errorf("%w: access denied for a minute", task.ErrRefused),
		"not migrated": fmt.Errorf("%w: the table is being swapped", task.ErrNotMigrated),
		"too large":    task.ErrTooLarge,
		"silent":       context.DeadlineExceeded,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, consumer.Options{Lease: 2 * time.Second}, func(k *kit) {
				k.add(1, false)
				k.run()
				d := k.consume()
				k.store.with = err
				k.store.set(true)
				result := make(chan error, 1)
				go func() { result <- d.Confirm(context.Background()) }()
				<-time.After(time.Minute)
				if expired, err := k.set.Expired(k.Context(), 0, 10, 0); len(expired) > 0 || err != nil {
					k.Errorf("the lease of what is being confirmed ended: %v, %v", expired, err)
				}
				k.store.set(false)
				if err := <-result; err != nil {
					k.Errorf("Confirm: %v", err)
				}
				if n := k.store.tries; n < 12 || n > 20 { // each 5 s, and some before
					k.Errorf("it was tried %d times in a minute, want about 16", n)
				}
				if n, f := k.store.len(), k.c.Figures(); n != 0 || f.Confirmed != 1 || f.Delivered != 1 {
					k.Errorf("%d rows are left, figures %+v", n, f)
				}
				k.stop()
			})
		})
	}
}

// What can never pass is told at once.
func TestConfirmGivesUpOnWhatIsFinal(t *testing.T) {
	for _, err := range []error{task.ErrClosed, task.ErrMismatch, task.ErrInvalid} {
		t.Run(err.Error(), func(t *testing.T) {
			bubble(t, consumer.Options{}, func(k *kit) {
				k.add(1, false)
				k.run()
				d := k.consume()
				k.store.with = fmt.Errorf("delete: %w", err)
				k.store.set(true)
				ctx, cancel := context.WithTimeout(k.Context(), time.Minute)
				defer cancel()
				if got := d.Confirm(ctx); !errors.Is(got, err) || k.store.tries != 1 {
					k.Errorf("Confirm: %v after %d tries, want %v at once", got, k.store.tries, err)
				}
				k.store.set(false)
				k.stop()
			})
		})
	}
}
