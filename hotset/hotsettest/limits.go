package hotsettest

import (
	"context"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// pause has the partition hear of a pause, as Scheduler.Pause does.
func (k *kit) pause(seq, untilMS int64) {
	k.Helper()
	e := task.Expected{Identity: "A1", Generations: make([]int64, k.Config().Partitions), Pause: task.Pause{Seq: seq, UntilMS: untilMS}}
	e.Generations[k.p] = 11
	k.must(k.Expect(e))
	k.must(k.Set.Pause(k.Context(), k.p))
}

// pausedGivesNothing: a claim takes nothing in a pause and tells until when, except that the batch of a repeated claim comes back.
func pausedGivesNothing(k *kit) {
	k.expect("A1", 11)
	if err := k.Set.Pause(k.Context(), k.p); err == nil {
		k.Error("Pause of a cold partition answered nil, want ErrCold")
	}
	k.begin(11)
	k.add(task.AddTaken, entry("a", 1), entry("b", 2), entry("c", 3))
	if b := k.claim("before", 1); k.ids(b) != "a" || b.Pause.Seq != 0 || b.Limited() {
		k.Fatalf("a claim before any pause took %+v, want a, and no pause", b)
	}
	k.pause(1, far)
	for _, limit := range []int{0, 10} {
		b := k.claim("paused", limit)
		if len(b.Claims) != 0 || b.Pause != (task.Pause{Seq: 1, UntilMS: far}) || !b.Limited() || b.NextMS != 2 {
			k.Errorf("a claim of %d in a pause answered %+v, want no member, and pause 1 until %d", limit, b, far)
		}
	}
	if b := k.claim("before", 1); k.ids(b) != "a" {
		k.Errorf("a claim that was repeated in a pause returned %q, want its batch: a", k.ids(b))
	}
	k.add(task.AddTaken, entry("d", 4)) // what else there is goes on
	got, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "before", Refs: refs(entry("a", 1)), AtNext: true})
	k.must(err)
	each(k, "Release in a pause", got, 1, task.ReleaseWaiting)
	k.pause(2, 0)
	if b := k.claim("after", 10); k.ids(b) != "a b c d" && len(b.Claims) != 4 || b.Pause != (task.Pause{Seq: 2}) {
		k.Errorf("a claim after the pause took %q and answered pause %+v, want all four, and pause 2 that has ended", k.ids(b), b.Pause)
	}
}

// pausesReplaceOlderOnes: the pause with the greatest Seq counts, also where an older one is told later, and in a new generation.
func pausesReplaceOlderOnes(k *kit) {
	k.expect("A1", 11)
	k.begin(11)
	k.add(task.AddTaken, entry("a", 1))
	k.pause(5, far)
	k.pause(4, 0)
	k.claimed("t4")
	k.expect("A1", 12)
	k.begin(12)
	k.add(task.AddTaken, entry("a", 1))
	if b := k.claim("t12", 1); len(b.Claims) != 0 || b.Pause.Seq != 5 {
		k.Errorf("a claim in the next generation answered %+v, want pause 5", b)
	}
}

// pausesEnd: at UntilMS, and no earlier.
func pausesEnd(k *kit) {
	k.expect("A1", 11)
	k.begin(11)
	k.add(task.AddTaken, entry("a", 1))
	until := k.now().TimeUS/1000 + 60
	k.pause(1, until)
	k.until("the pause is over", func() bool {
		b := k.claim("t", 1)
		if len(b.Claims) == 1 && b.AsOf.TimeUS/1000 < until {
			k.Errorf("a member was claimed at %d us, in a pause until %d ms", b.AsOf.TimeUS, until)
		}
		return len(b.Claims) == 1
	})
}

// fewAreInFlight: no claim brings the claimed members above MaxInFlight, and each that is settled or given back makes room for one.
func fewAreInFlight(k *kit) {
	k.warm()
	var all []task.Entry
	for i := range 9 {
		all = append(all, entry(fmt.Sprint("m", i), int64(i+1)))
	}
	k.add(task.AddTaken, all...)
	claim := func(token string, want int, full bool) {
		k.Helper()
		b, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: token, Limit: 3, Lease: time.Minute, MaxInFlight: 4})
		k.must(err)
		if len(b.Claims) != want || b.Full != full || b.Limited() != full {
			k.Errorf("claim %s took %d members, full: %t; want %d, %t", token, len(b.Claims), b.Full, want, full)
		}
	}
	claim("one", 3, false)
	claim("two", 1, true)
	claim("three", 0, true)
	claim("one", 3, false) // a repeat
	_, err := k.Remove(k.Context(), k.p, "one", refs(all[0]))
	k.must(err)
	_, err = k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "two", Refs: refs(all[3]), AtNext: true})
	k.must(err)
	claim("three", 2, true)
	if b := k.claim("unlimited", 10); len(b.Claims) != 4 {
		k.Errorf("a claim without MaxInFlight took %d members, want the 4 that are left", len(b.Claims))
	}
}

// claimsArePaced: Interval lets a second's worth through at first, and then one member for each Interval; the answer tells when.
func claimsArePaced(k *kit) {
	k.warm()
	const interval, burst = 50 * time.Millisecond, 20
	var all []task.Entry
	for i := range 60 {
		all = append(all, entry(fmt.Sprintf("m%02d", i), int64(i+1)))
	}
	k.add(task.AddTaken, all...)
	claim := func(token string, limit int) task.Batch {
		k.Helper()
		b, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: token, Limit: limit, Lease: time.Minute, Interval: interval})
		k.must(err)
		return b
	}
	first := claim("first", 40)
	if now := first.AsOf.TimeUS / 1000; len(first.Claims) != burst || first.AgainMS <= now || first.AgainMS > now+51 || !first.Limited() {
		k.Fatalf("the first claim took %d members, the next in %d ms; want %d, and one within 51 ms", len(first.Claims), first.AgainMS-now, burst)
	}
	taken := 0
	var last task.Batch
	k.until("five more were claimed", func() bool {
		last = claim(fmt.Sprint("paced", k.now().TimeUS), 40)
		taken += len(last.Claims)
		if most := (last.AsOf.TimeUS - first.AsOf.TimeUS) / interval.Microseconds(); int64(taken) > most {
			k.Errorf("%d members were claimed within %d us of the burst, want at most %d", taken, last.AsOf.TimeUS-first.AsOf.TimeUS, most)
		}
		return taken >= 5
	})
	slow, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: "slow", Limit: 5, Lease: time.Minute, Interval: time.Hour})
	k.must(err)
	if in := slow.AgainMS - slow.AsOf.TimeUS/1000; len(slow.Claims) != 0 || in < 3500_000 || in > 3600_001 {
		k.Errorf("a claim of one member an hour took %d, the next in %d ms; want none, and about an hour", len(slow.Claims), in)
	}
	if b := k.claim("unlimited", 100); len(b.Claims) != 60-burst-taken {
		k.Errorf("a claim without Interval took %d members, want the %d that are left", len(b.Claims), 60-burst-taken)
	}
}

// pauseWakes: a process that sleeps hears of a pause, and of its end.
func pauseWakes(k *kit) {
	k.expect("A1", 11)
	k.begin(11)
	ctx, cancel := context.WithCancel(k.Context())
	wake, done := make(chan struct{}, 1), make(chan error, 1)
	go func() { done <- k.Watch(ctx, task.Watcher{Wake: wake}) }()
	seq := int64(0)
	k.until("a pause wakes", func() bool { // the first may come before the subscription stands
		seq++
		k.pause(seq, far)
		select {
		case <-wake:
			return seq > 3 // the subscription itself wakes too
		case <-time.After(20 * time.Millisecond):
			return false
		}
	})
	cancel()
	k.must(<-done)
}
