package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/internal/verdict"
	"github.com/triggerhook/triggerhook/retrypolicy"
	"github.com/triggerhook/triggerhook/task"
)

// Bury moves rows to the dead letters; a repeated one finds there what an earlier try has moved.
func (r *rows) Bury(ctx context.Context, burials []task.Burial) ([]bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if err := r.fail(); err != nil {
		return nil, err
	}
	if r.dead == nil {
		r.dead = map[task.Ref]task.Burial{}
	}
	moved := make([]bool, len(burials))
	for i, b := range burials {
		if err := b.Check(); err != nil {
			return nil, err
		}
		if row, ok := r.byID[b.ID]; ok && row.Ver == b.Ver {
			delete(r.byID, b.ID)
			r.dead[b.Ref] = b
		}
		_, moved[i] = r.dead[b.Ref]
	}
	if r.buryLost--; r.buryLost >= 0 {
		return nil, &task.UnsureError{Refs: []task.Ref{burials[0].Ref}, Err: fmt.Errorf("bury: %w", task.ErrUnavailable)}
	}
	return moved, nil
}

func (r *rows) RaiseAttempts(ctx context.Context, counts []task.Attempts) (raised int, err error) {
	if r.raiseHangs {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.fail(); err != nil {
		return 0, err
	}
	for _, a := range counts {
		if row, ok := r.byID[a.ID]; ok && row.Ver == a.Ver && row.Attempt < a.Attempt {
			row.Attempt = a.Attempt
			raised++
			r.byID[a.ID] = row
		}
	}
	r.raised += raised
	return raised, nil
}

// letters returns the dead letters by ID.
func (r *rows) letters() map[string]task.Burial {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]task.Burial{}
	for _, b := range r.dead {
		all[b.ID] = b
	}
	return all
}

// tries has one task handled for 100 s, and returns when each of its deliveries began, since the
// first one, and which attempts they were.
func tries(k *kit, handle func(ctx context.Context, d *consumer.Delivery) error) (at []time.Duration, attempts []int) {
	var began time.Time
	hs := k.c.Handle(1, func(ctx context.Context, d *consumer.Delivery) error {
		if began.IsZero() {
			began = time.Now()
		}
		at, attempts = append(at, time.Since(began)), append(attempts, d.Attempt)
		return handle(ctx, d)
	})
	k.add(1, false)
	k.run()
	<-time.After(100 * time.Second)
	k.stop()
	if err := hs.Stop(); err != nil {
		k.Error(err)
	}
	return at, attempts
}

// Options.Retry is the caller's code: whatever it does, the task is offered again, neither at once nor never.
func TestWhateverThePolicyDoesTheTaskIsOfferedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		policy retrypolicy.Policy
		want   time.Duration // 0: the default, and a report
	}{
		"its own":     {retrypolicy.Func(func(f retrypolicy.Failure) time.Duration { return time.Duration(f.Attempt) * 20 * time.Second }), 20 * time.Second},
		"constant":    {retrypolicy.Constant(70 * time.Second), 70 * time.Second},
		"panic":       {retrypolicy.Func(func(retrypolicy.Failure) time.Duration { panic("no") }), 0},
		"index":       {retrypolicy.Func(func(f retrypolicy.Failure) time.Duration { return []time.Duration{}[f.Attempt] }), 0},
		"empty list":  {retrypolicy.List{}, 0},
		"nil":         {retrypolicy.Func(nil), 0},
		"Goexit":      {retrypolicy.Func(func(retrypolicy.Failure) time.Duration { runtime.Goexit(); return 1 }), 0},
		"zero":        {retrypolicy.Func(func(retrypolicy.Failure) time.Duration { return 0 }), 0},
		"negative":    {retrypolicy.Func(func(retrypolicy.Failure) time.Duration { return -1 << 63 }), 0},
		"largest":     {retrypolicy.Func(func(retrypolicy.Failure) time.Duration { return 1<<63 - 1 }), 0},
		"a year":      {retrypolicy.Constant(retrypolicy.MaxDelay), retrypolicy.MaxDelay},
		"over a year": {retrypolicy.Constant(retrypolicy.MaxDelay + 1), 0},
	} {
		o, log := logged(consumer.Options{Retry: c.policy})
		bubble(t, o, func(k *kit) {
			at, attempts := tries(k, func(_ context.Context, d *consumer.Delivery) error {
				if d.Attempt == 2 {
					return nil
				}
				return errors.New("no")
			})
			if reports := len(log.with("level=WARN", "Options.Retry", `task \"t000000\", attempt 1`, "kind=invalid")); (reports == 1) != (c.want == 0) {
				k.Errorf("%s: reported %d times: %s", name, reports, log.b.String())
			}
			if c.want > 2*time.Minute {
				if len(at) != 1 || k.state().Waiting != 1 {
					k.Errorf("%s: %d tries, %d tasks wait, want one try, and one that waits", name, len(at), k.state().Waiting)
				}
				return
			}
			if len(at) != 2 || attempts[1] != 2 {
				k.Fatalf("%s: attempts %v, want 2", name, attempts)
			}
			least := c.want
			if c.want == 0 {
				c.want = time.Second
			}
			if at[1] < least || at[1] > c.want+time.Second {
				k.Errorf("%s: tried again after %s, want %s to %s", name, at[1], least, c.want)
			}
		})
	}
}

// A policy sees the task as it was claimed, and what its handler returned.
func TestAPolicySeesTheFailure(t *testing.T) {
	errFull := errors.New("full")
	var seen []retrypolicy.Failure
	o := consumer.Options{Retry: retrypolicy.Func(func(f retrypolicy.Failure) time.Duration {
		seen = append(seen, f)
		return 20 * time.Second
	})}
	bubble(t, o, func(k *kit) {
		tries(k, func(_ context.Context, d *consumer.Delivery) error {
			attempt := d.Attempt
			d.ID, d.Due, d.Attempt = "other", time.Time{}, 99 // its own affair
			switch attempt {
			case 1:
				return fmt.Errorf("send: %w", errFull)
			case 2:
				panic(errFull)
			}
			return nil
		})
	})
	if len(seen) != 2 || seen[0].Attempt != 1 || seen[1].Attempt != 2 || seen[0].Task.ID != "t000000" || seen[0].Task.Due.IsZero() {
		t.Fatalf("the policy saw %+v, want attempts 1 and 2 of t000000", seen)
	}
	if !errors.Is(seen[0].Err, errFull) || !strings.Contains(seen[1].Err.Error(), "panicked: full") {
		t.Errorf("the policy saw the errors %v and %v, want what the handler did", seen[0].Err, seen[1].Err)
	}
}

// Snooze and RetryAfter choose the delay, at once or wrapped. The policy is not asked, and a snooze counts no attempt.
func TestAnErrorChoosesTheDelay(t *testing.T) {
	snooze := func(d time.Duration) error { return &verdict.Verdict{Act: verdict.Snooze, Delay: d} }
	after := func(d time.Duration) error { return &verdict.Verdict{Act: verdict.RetryAfter, Delay: d} }
	for name, c := range map[string]struct {
		err     error
		want    time.Duration
		attempt int // of the second delivery
	}{
		"snooze":           {snooze(20 * time.Second), 20 * time.Second, 1},
		"snooze, wrapped":  {fmt.Errorf("closed: %w", snooze(20*time.Second)), 20 * time.Second, 1},
		"snooze, joined":   {errors.Join(errors.New("closed"), snooze(20*time.Second)), 20 * time.Second, 1},
		"snooze of none":   {snooze(0), 0, 1},
		"snooze before":    {snooze(-time.Hour), 0, 1},
		"after":            {after(20 * time.Second), 20 * time.Second, 2},
		"after, wrapped":   {fmt.Errorf("429: %w", after(20*time.Second)), 20 * time.Second, 2},
		"after none":       {after(0), 0, 2},
		"the first counts": {errors.Join(after(20*time.Second), snooze(time.Hour)), 20 * time.Second, 2},
	} {
		o := consumer.Options{MaxAttempts: 3, Retry: retrypolicy.Func(func(retrypolicy.Failure) time.Duration {
			t.Errorf("%s: the policy was asked", name)
			return time.Second
		})}
		bubble(t, o, func(k *kit) {
			failed := false
			at, attempts := tries(k, func(context.Context, *consumer.Delivery) error {
				if failed {
					return nil
				}
				failed = true
				return c.err
			})
			if len(at) != 2 || at[1] < c.want || at[1] > c.want+time.Second || attempts[1] != c.attempt {
				k.Errorf("%s: deliveries after %v as attempts %v, want a second one after %s as attempt %d", name, at, attempts, c.want, c.attempt)
			}
			if f := k.c.Figures(); f.Snoozed+f.RolledBack != 1 || f.Snoozed != uint64(2-c.attempt) || f.Confirmed != 1 {
				k.Errorf("%s: figures %+v, want one snooze or one rollback, and then one confirm", name, f)
			}
		})
	}
}

// No handler, and no policy, sees a task that has failed as often as MaxAttempts allows. However the last attempt ended,
// the task is a dead letter.
func TestTheLastAttemptMakesADeadLetter(t *testing.T) {
	for name, c := range map[string]struct {
		end      func(ctx context.Context, d *consumer.Delivery) error
		attempts int    // that are delivered
		reason   string // of the dead letter
		text     string // in its last error
	}{
		"error":    {func(context.Context, *consumer.Delivery) error { return errors.New("boom") }, 3, "attempts", "boom"},
		"panic":    {func(context.Context, *consumer.Delivery) error { panic("boom") }, 3, "attempts", "handler panicked: boom"},
		"Goexit":   {func(context.Context, *consumer.Delivery) error { runtime.Goexit(); return nil }, 3, "attempts", "Goexit"},
		"rollback": {func(ctx context.Context, d *consumer.Delivery) error { return d.Rollback(ctx, 0) }, 3, "attempts", "rolled back"},
		"Fail": {func(ctx context.Context, d *consumer.Delivery) error {
			return d.Fail(ctx, fmt.Errorf("send: %w", errors.New("boom")))
		}, 3, "attempts", "send: boom"},
		"RetryAfter": {func(context.Context, *consumer.Delivery) error {
			return &verdict.Verdict{Act: verdict.RetryAfter, Delay: time.Second}
		}, 3, "attempts", "retry after 1s"},
		"timeout": {func(ctx context.Context, d *consumer.Delivery) error {
			<-ctx.Done()
			<-time.After(2 * time.Second) // until a beat has given the task back
			return ctx.Err()
		}, 3, "attempts", "attempt 3 did not answer"},
		"timeout that is heeded": {func(ctx context.Context, d *consumer.Delivery) error {
			<-ctx.Done()
			return ctx.Err()
		}, 3, "attempts", "context deadline exceeded"},
		"discard": {func(context.Context, *consumer.Delivery) error {
			return fmt.Errorf("charge: %w", &verdict.Verdict{Act: verdict.Discard, Reason: "no such card"})
		}, 1, "discarded: no such card", "charge: discarded: no such card"},
		"discard, without a reason": {func(ctx context.Context, d *consumer.Delivery) error {
			return d.Fail(ctx, &verdict.Verdict{Act: verdict.Discard})
		}, 1, "discarded", "discarded"},
		"discard, at length": {func(context.Context, *consumer.Delivery) error {
			return &verdict.Verdict{Act: verdict.Discard, Reason: strings.Repeat("ü", 5000)}
		}, 1, "discarded: üü", "discarded: üü"},
		"an error that panics": {func(context.Context, *consumer.Delivery) error { return &wild{} }, 3, "attempts", "*consumer_test.wild"},
	} {
		const timeout = 10*time.Second + 500*time.Millisecond // not at a beat, which gives back what is not settled by then
		o, _ := logged(consumer.Options{MaxAttempts: 3, DeliveryTimeout: timeout, Retry: retrypolicy.Constant(time.Second)})
		bubble(t, o, func(k *kit) {
			_, attempts := tries(k, c.end)
			b, is := k.store.letters()["t000000"]
			if len(attempts) != c.attempts || !is || b.Attempt != c.attempts || !strings.HasPrefix(b.Reason, c.reason) ||
				!strings.Contains(b.LastError, c.text) || len(b.Reason) > task.MaxReason || len(b.LastError) > task.MaxLastError || b.DeadMS == 0 {
				k.Errorf("%s: attempts %v, and the dead letter %t %+v; want %d attempts, reason %q and error %q", name, attempts, is, b, c.attempts, c.reason, c.text)
			}
			st, f := k.state(), k.c.Figures()
			if k.store.len() != 0 || st.Waiting+st.Claimed != 0 || f.Exhausted+f.Discarded != 1 || f.InHand != 0 || f.Confirming != 0 {
				k.Errorf("%s: %d rows, state %+v, figures %+v; want nothing left, and one dead letter", name, k.store.len(), st, f)
			}
		})
	}
}

// wild is an error whose text cannot be had.
type wild struct{}

func (*wild) Error() string { panic("no text") }

// A task that has killed its workers is buried at the claim, before it is delivered once more.
func TestATaskThatKillsItsWorkersIsNotDeliveredOnceMore(t *testing.T) {
	o, log := logged(consumer.Options{MaxAttempts: 3})
	bubble(t, o, func(k *kit) {
		k.add(3, false)
		expire(k, "t000000", 3)
		expire(k, "t000001", 2)
		var h handled
		hs := k.c.Handle(1, func(_ context.Context, d *consumer.Delivery) error { h.note(d); return nil })
		k.run()
		<-time.After(time.Minute)
		b, is := k.store.letters()["t000000"]
		if !is || b.Attempt != 3 || b.Reason != task.ReasonAttempts || !strings.Contains(b.LastError, "attempt 3 did not answer") || len(k.store.letters()) != 1 {
			k.Errorf("dead letters %+v, want t000000 after 3 attempts: %s", k.store.letters(), log.b.String())
		}
		if h.times["t000000"] != 0 || h.times["t000001"] != 1 || h.times["t000002"] != 1 {
			k.Errorf("handled %v, want the other two once", h.times)
		}
		if f := k.c.Figures(); f.Exhausted != 1 || f.InHand != 0 || f.Confirming != 0 {
			k.Errorf("figures %+v, want one task buried, and nothing under way", f)
		}
		k.stop()
		if err := hs.Stop(); err != nil {
			k.Error(err)
		}
	})
}

// expire has the lease of a task run out so many times, as the reaper does for a worker that died.
func expire(k *kit, id string, times int) {
	k.Helper()
	for range times {
		b, err := k.set.Set.Claim(k.Context(), 0, task.ClaimRequest{Token: "dead-worker", Limit: 1000, Lease: time.Second})
		if err != nil {
			k.Fatal(err)
		}
		var own, others []task.Ref
		for _, c := range b.Claims {
			if c.ID == id {
				own = append(own, c.Ref)
			} else {
				others = append(others, c.Ref)
			}
		}
		for _, r := range []task.ReleaseRequest{{Refs: own, Counted: true, AtNext: true}, {Refs: others, AtNext: true}} {
			if r.Token = b.Token; len(r.Refs) > 0 {
				if _, err := k.set.Set.Release(k.Context(), 0, r); err != nil {
					k.Fatal(err)
				}
			}
		}
	}
}

// A burial goes on while the store is away, and one whose answer was lost is made once.
func TestABurialWaitsForTheStore(t *testing.T) {
	o, _ := logged(consumer.Options{MaxAttempts: 1})
	bubble(t, o, func(k *kit) {
		k.store.buryLost = 1
		k.store.set(true)
		time.AfterFunc(time.Minute, func() { k.store.set(false) })
		_, attempts := tries(k, func(context.Context, *consumer.Delivery) error { return errors.New("boom") })
		if len(attempts) != 1 || len(k.store.letters()) != 1 || k.c.Figures().Exhausted != 1 {
			k.Errorf("attempts %v, letters %v, figures %+v; want one of each", attempts, k.store.letters(), k.c.Figures())
		}
	})
}

// What another worker has ended is not buried, and Fail says so.
func TestWhatIsGoneIsNotBuried(t *testing.T) {
	bubble(t, consumer.Options{MaxAttempts: 1}, func(k *kit) {
		k.add(1, false)
		k.run()
		d := k.consume()
		k.deleteRow(d)
		if err := d.Fail(k.Context(), errors.New("boom")); !errors.Is(err, task.ErrGone) || len(k.store.letters()) != 0 {
			k.Errorf("Fail: %v, letters %v; want ErrGone and none", err, k.store.letters())
		}
		if err := d.Fail(k.Context(), errors.New("boom")); !errors.Is(err, task.ErrSettled) {
			k.Errorf("a second Fail: %v, want ErrSettled", err)
		}
	})
}

// Fail needs an error, and leaves the delivery unsettled without one.
func TestFailNeedsAnError(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.add(1, false)
		k.run()
		d := k.consume()
		if err := d.Fail(k.Context(), nil); !errors.Is(err, task.ErrInvalid) {
			k.Errorf("Fail(nil): %v, want ErrInvalid", err)
		}
		if err := d.Confirm(k.Context()); err != nil {
			k.Errorf("Confirm after that: %v", err)
		}
	})
	byHand := &consumer.Delivery{}
	if err := byHand.Fail(t.Context(), errors.New("boom")); err != nil {
		t.Errorf("Fail of a delivery that was made by hand: %v", err)
	}
}
