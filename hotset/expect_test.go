package hotset_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// Another durable store's hot set is refused by each call, and by elections, before anything
// is changed; the error names both.
func TestTheHotSetOfAnotherStoreIsRefused(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	one := open(t, rdb, 1)
	two, err := hotset.NewRedis(rdb, hotset.Options{Namespace: one.Config().Namespace})
	if err != nil {
		t.Fatal(err)
	}
	wish := task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 42, Limit: 10, Generation: 7}
	_, err = one.Horizon(t.Context(), 0, wish)
	err = errors.Join(err, one.Expect(task.Expected{Identity: "ONE", Generations: []int64{8}}), two.Expect(task.Expected{Identity: "TWO", Generations: []int64{8}}))
	if err != nil {
		t.Fatal(err)
	}
	wish.Generation = 8
	if f, err := one.Horizon(t.Context(), 0, wish); err != nil || !f.New { // that of a caller that was told nothing names no store: cold
		t.Fatalf("Horizon: %+v, %v", f, err)
	}
	if _, err := one.Elect(t.Context(), "one", time.Minute, task.Feeder); err != nil {
		t.Fatal(err)
	}
	wish.Epoch = 2
	clock := func() error { _, err := two.Clock(t.Context(), 0); return err }
	for name, call := range map[string]func() error{
		"State":   func() error { _, err := two.State(t.Context(), 0); return err },
		"Horizon": func() error { _, err := two.Horizon(t.Context(), 0, wish); return err },
		"Claim": func() error {
			_, err := two.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Second})
			return err
		},
		"Remove": func() error { _, err := two.Remove(t.Context(), 0, "", []task.Ref{{ID: "a", Ver: 1}}); return err },
		"Elect":  func() error { _, err := two.Elect(t.Context(), "two", time.Minute, task.Auditor); return err },
	} {
		for _, err := range []error{call(), clock()} { // the clock is asked for also after an answer that had the time
			if !errors.Is(err, task.ErrMismatch) || !strings.Contains(err.Error(), "ONE") || !strings.Contains(err.Error(), "TWO") {
				t.Errorf("%s, or Clock after it, on another store's hot set: %v, want ErrMismatch that names both", name, err)
			}
		}
	}
	if st, err := one.State(t.Context(), 0); err != nil || st.AsOf.Generation != 8 {
		t.Errorf("after that its own State is %+v, %v", st, err)
	}
	if terms, err := one.Elect(t.Context(), "other", time.Minute, task.Auditor); err != nil || !terms[0].Held {
		t.Errorf("after that the election of its own is %+v, %v; want no holder", terms, err)
	}
}
