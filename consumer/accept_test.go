package consumer_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

// long puts n tasks into both stores, whose payloads of that many bytes are in the rows alone,
// and starts as many callers as there are tasks, who confirm what they get. It returns the
// deliveries once wait is over.
func long(k *kit, n, size int, wait time.Duration) *attempts {
	k.Helper()
	k.run()
	k.store.long = make([]byte, size)
	got := &attempts{of: map[string][]int{}}
	for range n {
		go func() {
			d, err := k.c.Consume(k.Context())
			if err != nil {
				return // Run has ended
			}
			got.mu.Lock()
			got.of[d.ID] = append(got.of[d.ID], d.Attempt)
			got.mu.Unlock()
			if len(d.Payload) != size {
				k.Errorf("%s was delivered with %d bytes, want %d", d.ID, len(d.Payload), size)
			}
			d.ConfirmAsync()
		}()
	}
	synctest.Wait()
	k.add(n, true)
	<-time.After(wait)
	synctest.Wait()
	return got
}

// attempts are those of which each task was delivered.
type attempts struct {
	mu sync.Mutex
	of map[string][]int
}

// deliveredOnce checks that each of n tasks was delivered, and first attempts alone.
func deliveredOnce(k *kit, got *attempts, n int) {
	k.Helper()
	got.mu.Lock()
	defer got.mu.Unlock()
	for id, attempts := range got.of {
		if len(attempts) != 1 || attempts[0] != 1 {
			k.Errorf("%s was delivered with attempts %v, want the first alone", id, attempts)
		}
	}
	if len(got.of) != n {
		k.Errorf("%d tasks were delivered, want %d", len(got.of), n)
	}
}

// A claim brings a thousand long payloads. They are read piece by piece, none of which is
// asked for more than the store answers at once, except the first, because their lengths are not known yet.
func TestLongPayloadsAreReadPieceByPiece(t *testing.T) {
	for name, c := range map[string]struct{ n, size, reads, cut int }{
		"one":                             {1, 16<<20 - 1, 1, 0},
		"the longest by default":          {1000, 64 << 10, 16, 0},
		"not much longer than inline":     {1000, 2 << 10, 2, 0},
		"of many that do not fit at once": {60, 1 << 20, 15, 56}, // 60 fit into one claim
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, consumer.Options{}, func(k *kit) {
				got := long(k, c.n, c.size, 10*time.Second)
				deliveredOnce(k, got, c.n)
				k.store.mu.Lock()
				defer k.store.mu.Unlock()
				if n := len(k.store.asked); n != c.reads {
					k.Errorf("%d readings %v, want %d", n, k.store.asked, c.reads)
				}
				for i, a := range k.store.asked {
					if i == 0 && a.cut != c.cut || i > 0 && a.cut > 0 {
						k.Errorf("reading %d of %d rows left %d payloads out, want %d in the first and none after that", i, a.ids, a.cut, c.cut)
					}
				}
			})
		})
	}
}

// What one claim brings of payloads has a bound: what is above it goes back, uncounted, and
// comes with later claims.
func TestAClaimBringsNoMorePayloadsThanAProcessHolds(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		const size = 16<<20 - 1
		var mu sync.Mutex
		most := 0
		k.set.released = func(r task.ReleaseRequest) {
			mu.Lock()
			defer mu.Unlock()
			most = max(most, len(r.Refs))
		}
		got := long(k, 100, size, time.Minute)
		deliveredOnce(k, got, 100)
		mu.Lock()
		defer mu.Unlock()
		if want := 100 - 64<<20/size - 1; most != want { // of the first claim
			k.Errorf("the first claim gave %d tasks back, want %d", most, want)
		}
		k.stop()
	})
}

// A reading that fails gives back what is left of the claim; what was read before is delivered.
func TestWhatWasReadBeforeAFailureIsDelivered(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.store.failAt = 3
		got := long(k, 1000, 64<<10, 500*time.Millisecond)
		deliveredOnce(k, got, 128)
		<-time.After(10 * time.Second)
		synctest.Wait()
		deliveredOnce(k, got, 1000)
		k.stop()
	})
}
