package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

// beyond are the two reasons for which a Rollback moves the row.
var beyond = map[string]func(k *kit){
	"beyond the horizon": func(k *kit) { k.set.beyond = true },
	"without an entry":   func(k *kit) { k.set.noEntries = true },
}

// postponed has one task delivered, and rolls it back by an hour once spoil was called. The
// log is what was reported by the end of test.
func postponed(t *testing.T, o consumer.Options, spoil func(*kit), test func(k *kit, d *consumer.Delivery, result <-chan error)) (log string) {
	t.Helper()
	var text bytes.Buffer
	o.Report = &report.Reporter{Logger: slog.New(slog.NewTextHandler(&text, nil))}
	bubble(t, o, func(k *kit) {
		k.add(1, false)
		k.run()
		d := k.consume()
		spoil(k)
		result := make(chan error, 1)
		go func() { result <- d.Rollback(context.Background(), time.Hour) }()
		synctest.Wait()
		test(k, d, result)
		k.stop()
	})
	return text.String()
}

// tried is how many moves were tried, which must all have named one version.
func (k *kit) tried() int {
	k.Helper()
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	for _, to := range k.store.moves {
		if to.Ref != k.store.moves[0].Ref || to.NextMS != k.store.moves[0].NextMS {
			k.Errorf("a Move to %+v came after one to %+v", to, k.store.moves[0])
		}
	}
	return len(k.store.moves)
}

// Whatever the store answers for a minute, a Rollback that moves the row waits for it, at a
// growing distance: its delay is kept, and no worker has the task meanwhile.
func TestAPostponementWaitsForWhateverMayPass(t *testing.T) {
	for name, err := range map[string]error{
		"unknown":   errors.New("Error 4711: of an unknown proxy"),
		"disk full": fmt.Errorf("commit: %w", task.ErrDiskFull),
		"read-only": task.ErrReadOnly,
		"refused":   fmt.Errorf("%w: access denied for a minute", task.ErrRefused),
		"silent":    context.DeadlineExceeded,
	} {
		for why, moves := range beyond {
			t.Run(name+", "+why, func(t *testing.T) {
				away := func(k *kit) {
					moves(k)
					k.store.with = err
					k.store.set(true)
				}
				postponed(t, consumer.Options{Lease: 2 * time.Second}, away, func(k *kit, d *consumer.Delivery, result <-chan error) {
					began, before := time.Now(), k.store.read()
					<-time.After(time.Minute)
					if n := k.store.read() - before; n < 12 || n > 20 { // each 5 s, and some before
						k.Errorf("it was tried %d times more in a minute, want about 16", n)
					}
					if expired, err := k.set.Expired(k.Context(), 0, 10, 0); len(expired) > 0 || err != nil {
						k.Errorf("the lease of what is being postponed ended: %v, %v", expired, err)
					}
					k.store.set(false)
					if err := <-result; err != nil {
						k.Errorf("Rollback: %v", err)
					}
					row := k.store.byID[d.ID]
					if due := began.Add(time.Hour).UnixMilli(); row.PrevVer == 0 || row.Attempt != 1 || row.NextMS < due || row.NextMS > due+1000 {
						k.Errorf("the row is %+v, want one that was moved to about %d, an hour after the Rollback, with an attempt", row, due)
					}
					if n := k.tried(); n != 1 { // the others did not get beyond reading
						k.Errorf("%d moves were tried, want 1", n)
					}
					if f := k.c.Figures(); f.RolledBack != 1 || f.Confirming != 0 || len(k.later) != 0 {
						k.Errorf("figures %+v, %v is to be added later", f, k.later)
					}
				})
			})
		}
	}
}

// A move whose answer was lost is asked for again, in the same version, and is not made twice.
func TestAPostponementWhoseAnswerWasLostIsMadeOnce(t *testing.T) {
	for why, moves := range beyond {
		t.Run(why, func(t *testing.T) {
			lost := func(k *kit) {
				moves(k)
				k.store.moveLost = 3
			}
			postponed(t, consumer.Options{}, lost, func(k *kit, d *consumer.Delivery, result <-chan error) {
				if err := <-result; err != nil {
					k.Errorf("Rollback: %v", err)
				}
				row := k.store.byID[d.ID]
				if n := k.tried(); n != 4 || row.Ver != k.store.moves[0].Ver || row.PrevVer != 1 {
					k.Errorf("%d moves were tried, and the row is %+v; want 4, all to that version", n, row)
				}
				if st := k.state(); st.Claimed != 0 || st.Waiting != 1 {
					k.Errorf("%d members are claimed and %d wait, want the new version waiting alone", st.Claimed, st.Waiting)
				}
			})
		})
	}
}

// A move whose answer was lost, and after which another worker has had the task and confirmed
// it, was made all the same: the row is gone by the next try.
func TestAPostponementWhoseTaskIsDoneSinceWasMade(t *testing.T) {
	for why, moves := range beyond {
		t.Run(why, func(t *testing.T) {
			lost := func(k *kit) {
				moves(k)
				k.store.moveLost = 1
			}
			postponed(t, consumer.Options{}, lost, func(k *kit, d *consumer.Delivery, result <-chan error) {
				synctest.Wait()
				k.store.mu.Lock()
				delete(k.store.byID, d.ID)
				k.store.mu.Unlock()
				if err := <-result; err != nil || k.tried() != 2 {
					k.Errorf("Rollback: %v after %d tries, want nil after 2", err, k.tried())
				}
				if f := k.c.Figures(); f.RolledBack != 1 {
					k.Errorf("figures %+v, want one that is rolled back", f)
				}
			})
		})
	}
}

// A move that is known to have failed was not made: if the row is gone by the next try, the
// Rollback found nothing. One that met no row after a try of the store's own whose answer was
// lost may have been made. So may one whose time was over.
func TestAPostponementKnowsWhatFailed(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"read-only":              {task.ErrReadOnly, task.ErrGone},
		"no connection":          {task.ErrUnavailable, task.ErrGone},
		"lost":                   {&task.UnsureError{Refs: []task.Ref{{ID: "t000000", Ver: 1}}, Err: task.ErrUnavailable}, nil},
		"lost, and gone by then": {&task.UnsureError{Refs: []task.Ref{{ID: "t000000", Ver: 1}}, Err: task.ErrGone}, nil},
		"no answer in time":      {context.DeadlineExceeded, nil},
		"cut off":                {context.Canceled, nil},
	} {
		for why, moves := range beyond {
			t.Run(name+", "+why, func(t *testing.T) {
				fails := func(k *kit) {
					moves(k)
					k.store.onMove = func() error {
						delete(k.store.byID, "t000000")
						k.store.onMove = nil
						return c.err
					}
				}
				postponed(t, consumer.Options{}, fails, func(k *kit, d *consumer.Delivery, result <-chan error) {
					if err := <-result; !errors.Is(err, c.want) {
						k.Errorf("Rollback of what is gone by its second try: %v, want %v", err, c.want)
					}
					if f := k.c.Figures(); (f.RolledBack == 1) != (c.want == nil) {
						k.Errorf("figures %+v after a Rollback that wants %v", f, c.want)
					}
				})
			})
		}
	}
}

// A release that met no entry has taken the member out of its batch. If another worker claims
// the task before the first try, or this one's lease is over by then, the row stays as it is.
func TestAPostponementLooksBeforeItsFirstTry(t *testing.T) {
	for name, taken := range map[string]bool{"another worker has it": true, "its lease is over": false} {
		t.Run(name, func(t *testing.T) {
			spoil := func(k *kit) {
				k.set.noEntries = true
				k.set.released = func(r task.ReleaseRequest) {
					k.set.released = nil
					r.Delay = 0
					if _, err := k.set.Set.Release(k.Context(), 0, r); err != nil {
						k.Error(err)
					}
					if !taken {
						return
					}
					if b, err := k.set.Set.Claim(k.Context(), 0, task.ClaimRequest{Token: "another worker's", Limit: 10, Lease: time.Hour}); err != nil || len(b.Claims) != 1 {
						k.Errorf("another worker claimed %v, %v", b.Claims, err)
					}
				}
				if !taken { // this worker does not know that its release comes late
					k.set.set(true)
					<-time.After(16 * time.Second)
					k.set.set(false)
				}
			}
			postponed(t, consumer.Options{}, spoil, func(k *kit, d *consumer.Delivery, result <-chan error) {
				if err := <-result; taken != (err != nil) || errors.Is(err, task.ErrGone) {
					k.Errorf("Rollback: %v, want an error: %t", err, taken)
				}
				if row := k.store.byID[d.ID]; row.PrevVer != 0 || k.tried() != 0 {
					k.Errorf("%d moves were tried, and the row is %+v", k.tried(), row)
				}
			})
		})
	}
}

// A task that is deleted between two tries is not another worker's.
func TestAPostponementTellsDeletedFromTaken(t *testing.T) {
	away := func(k *kit) {
		k.set.noEntries = true
		k.store.set(true)
		k.store.onRead = func() { // the second try reads the row as it stands, and then it goes
			delete(k.store.byID, "t000000")
			if _, err := k.set.Set.Remove(k.Context(), 0, "", []task.Ref{{ID: "t000000", Ver: 1}}); err != nil {
				k.Error(err)
			}
		}
	}
	postponed(t, consumer.Options{}, away, func(k *kit, d *consumer.Delivery, result <-chan error) {
		k.store.set(false)
		if err := <-result; !errors.Is(err, task.ErrGone) {
			k.Errorf("Rollback of what was deleted: %v, want ErrGone", err)
		}
	})
}

// Once the lease is over the row is not moved: another worker may have the task.
func TestAPostponementEndsWithItsLease(t *testing.T) {
	for why, moves := range beyond {
		t.Run(why, func(t *testing.T) {
			away := func(k *kit) {
				moves(k)
				k.store.set(true)
				k.set.set(true) // no extension arrives
			}
			log := postponed(t, consumer.Options{Lease: 2 * time.Second}, away, func(k *kit, d *consumer.Delivery, result <-chan error) {
				<-time.After(10 * time.Second)
				k.store.set(false)
				if err := <-result; !errors.Is(err, task.ErrUnavailable) {
					k.Errorf("Rollback: %v, want what the store answered", err)
				}
				<-time.After(time.Minute)
				if row := k.store.byID[d.ID]; row.PrevVer != 0 || k.tried() != 0 {
					k.Errorf("after the lease %d moves were tried, and the row is %+v", k.tried(), row)
				}
				k.set.set(false)
			})
			if !strings.Contains(log, "give up postponing") || !strings.Contains(log, "when its lease ended") {
				t.Errorf("nothing tells that the delay was not kept: %s", log)
			}
		})
	}
}

// A member that had lost its entry was taken out of its batch. Another worker claimed it
// while the store was away: the row is not moved from under it.
func TestAPostponementLeavesAnotherWorkersTask(t *testing.T) {
	away := func(k *kit) {
		ref := task.Ref{ID: "t000000", Ver: 1}
		if _, err := k.set.Set.Release(k.Context(), 0, task.ReleaseRequest{Token: k.set.token, Refs: []task.Ref{ref}, AtNext: true}); err != nil {
			k.Fatal(err)
		}
		if b, err := k.set.Set.Claim(k.Context(), 0, task.ClaimRequest{Token: "another worker's", Limit: 10, Lease: time.Hour}); err != nil || len(b.Claims) != 1 {
			k.Fatalf("another worker claimed %v, %v", b.Claims, err)
		}
		k.set.noEntries = true
		k.store.set(true)
	}
	log := postponed(t, consumer.Options{}, away, func(k *kit, d *consumer.Delivery, result <-chan error) {
		<-time.After(300 * time.Millisecond) // before a beat tells the keeper
		k.store.set(false)
		if err := <-result; err == nil || errors.Is(err, task.ErrGone) {
			k.Errorf("Rollback: %v, want that another worker has the task", err)
		}
		if row := k.store.byID[d.ID]; row.PrevVer != 0 {
			k.Errorf("the row was moved while another worker had the task: %+v", row)
		}
	})
	if !strings.Contains(log, "give up postponing") {
		t.Errorf("nothing tells that the delay was not kept: %s", log)
	}
}

// What can never pass is told at once, and the task is given back without its delay, though
// another one of its batch is in hand for long.
func TestAPostponementGivesUpOnWhatIsFinal(t *testing.T) {
	for _, never := range []error{task.ErrClosed, task.ErrMismatch, task.ErrInvalid} {
		t.Run(never.Error(), func(t *testing.T) {
			bubble(t, consumer.Options{}, func(k *kit) {
				k.add(2, false)
				k.run()
				got := make(chan *consumer.Delivery, 2)
				for range 2 {
					go func() { got <- k.consume() }()
				}
				d, other := <-got, <-got
				k.set.beyond = true
				k.store.with = fmt.Errorf("get: %w", never)
				k.store.set(true)
				began := time.Now()
				minute, cancel := context.WithTimeout(k.Context(), time.Minute)
				defer cancel()
				if err := d.Rollback(minute, time.Hour); !errors.Is(err, never) || time.Since(began) != 0 {
					k.Errorf("Rollback: %v after %s, want %v at once", err, time.Since(began), never)
				}
				k.store.set(false)
				<-time.After(3 * time.Second)
				again := k.consume()
				if again.ID != d.ID || again.Attempt != 2 {
					k.Errorf("delivered %q, attempt %d; want %q again, attempt 2", again.ID, again.Attempt, d.ID)
				}
				again.ConfirmAsync()
				other.ConfirmAsync()
				k.stop()
			})
		})
	}
}

// A drain waits for a store that is away until Drain is over. Then the delay is lost, which is
// reported, and the task waits for another worker.
func TestAPostponementEndsWithTheDrain(t *testing.T) {
	away := func(k *kit) {
		k.set.beyond = true
		k.store.set(true)
	}
	log := postponed(t, consumer.Options{Drain: 10 * time.Second}, away, func(k *kit, d *consumer.Delivery, result <-chan error) {
		began := time.Now()
		k.stop()
		if took := time.Since(began); took < 10*time.Second || took > 13*time.Second {
			k.Errorf("the drain took %s, want Drain", took)
		}
		if err := <-result; !errors.Is(err, task.ErrUnavailable) {
			k.Errorf("Rollback: %v, want what the store answered", err)
		}
		if st := k.state(); st.Claimed != 0 || st.Waiting != 1 {
			k.Errorf("%d tasks are claimed and %d wait once Run has returned, want 0 and 1", st.Claimed, st.Waiting)
		}
	})
	if !strings.Contains(log, "give up postponing") || !strings.Contains(log, "given back without its delay") {
		t.Errorf("nothing tells that the delay was not kept: %s", log)
	}
}
