package hotsettest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

func claimTakesOldest(k *kit) {
	k.warm()
	k.add(task.AddTaken, entry("c", 30), entry("a", 10), entry("b", 20), entry("later", far-7))
	if b := k.claim("t1", 2); k.ids(b) != "a b" || b.NextMS != 30 {
		k.Errorf("claimed %q, next at %d; want \"a b\", next at 30", k.ids(b), b.NextMS)
	}
	if b := k.claim("t2", 2); k.ids(b) != "c" || b.NextMS != far-7 {
		k.Errorf("claimed %q, next at %d; want \"c\", next at %d", k.ids(b), b.NextMS, far-7)
	}
	if b := k.claim("t3", 2); len(b.Claims) != 0 || b.NextMS != far-7 {
		k.Errorf("claimed %q, next at %d; want none", k.ids(b), b.NextMS)
	}
}

func claimIsNeverEarly(k *kit) {
	k.warm()
	due := k.now().TimeUS/1000 + 40
	k.add(task.AddTaken, entry("a", due), entry("b", due+500))
	for _, want := range []struct {
		id string
		ms int64
	}{{"a", due}, {"b", due + 500}} {
		var b task.Batch
		k.until("the member is due", func() bool { b = k.claim("t"+want.id, 9); return len(b.Claims) > 0 })
		if len(b.Claims) > 1 || b.Claims[0].ID != want.id || b.AsOf.TimeUS < want.ms*1000 {
			k.Errorf("claimed %q at %d us, %s is due at %d ms", k.ids(b), b.AsOf.TimeUS, want.id, want.ms)
		}
	}
}

func claimAhead(k *kit) {
	k.warm()
	if _, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: "far", Limit: 1, Lease: time.Minute, Ahead: task.MaxAhead + 1, AheadLimit: 1}); !errors.Is(err, task.ErrInvalid) {
		k.Errorf("a claim further ahead than is allowed answered %v, want ErrInvalid", err)
	}
	n := 0
	try := func(limit, aheadLimit int) (b task.Batch, soon int64) { // two members that are due, and two that soon will be
		n++
		soon = k.now().TimeUS/1000 + task.MaxAhead.Milliseconds() - 10
		k.add(task.AddTaken, entry(fmt.Sprint("a", n), 1), entry(fmt.Sprint("b", n), 2), entry(fmt.Sprint("c", n), soon), entry(fmt.Sprint("d", n), soon))
		b, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: fmt.Sprint("t", n), Limit: limit, Lease: time.Minute, Ahead: task.MaxAhead, AheadLimit: aheadLimit})
		k.must(err)
		if b.ClockUS != 0 && (b.ClockUS < b.AsOf.TimeUS || b.ClockUS > k.now().TimeUS) {
			k.Errorf("a claim as of %d read the clock at %d", b.AsOf.TimeUS, b.ClockUS)
		}
		return b, soon
	}
	for _, c := range []struct{ limit, aheadLimit, want int }{{9, 9, 4}, {3, 9, 3}, {9, 3, 3}, {9, 2, 2}, {2, 9, 2}, {9, 0, 2}, {0, 9, 0}} {
		k.until("a claim comes in time", func() bool { // a busy machine may take until all are due
			b, soon := try(c.limit, c.aheadLimit)
			intime := b.AsOf.TimeUS/1000 < soon
			for _, cl := range b.Claims {
				if want := map[bool]int64{true: soon}[intime && cl.NextMS == soon]; intime && cl.OfferMS != want {
					k.Errorf("%q, due at %d, is offered at %d, want %d, as of %d us", cl.ID, cl.NextMS, cl.OfferMS, want, b.AsOf.TimeUS)
				}
			}
			if got := len(b.Claims); intime && got != c.want || got > 0 && got < c.want {
				k.Errorf("a claim of %d members, at most %d with one that is not due, has %q", c.limit, c.aheadLimit, k.ids(b))
			}
			left, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: fmt.Sprint("rest", n), Limit: 9, Lease: time.Minute, Ahead: task.MaxAhead, AheadLimit: 9})
			k.must(err)
			if len(b.Claims)+len(left.Claims) != 4 {
				k.Errorf("of four members %q and %q were claimed", k.ids(b), k.ids(left))
			}
			return intime
		})
	}
}

// A member that was given back with a delay is offered when that is over, also if a claim took it ahead and gives it back.
func claimAheadOfADelay(k *kit) {
	k.warm()
	n := 0
	k.until("a claim comes in time", func() bool {
		n++
		e, first := entry(fmt.Sprint("a", n), 1), fmt.Sprint("t", n)
		k.add(task.AddTaken, e)
		k.claimed(first, e.ID)
		least := k.now().TimeUS/1000 + (task.MaxAhead - 10*time.Millisecond).Milliseconds()
		_, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: first, Refs: refs(e), Delay: task.MaxAhead - 10*time.Millisecond, Counted: true})
		k.must(err)
		req := task.ClaimRequest{Token: fmt.Sprint("ahead", n), Limit: 1, Lease: time.Minute, Ahead: task.MaxAhead, AheadLimit: 1}
		b, err := k.Claim(k.Context(), k.p, req)
		if k.must(err); len(b.Claims) != 1 || b.Repeated {
			k.Fatalf("claimed %q, repeated: %t", k.ids(b), b.Repeated)
		}
		offer := b.Claims[0].OfferMS
		if offer != 0 && (offer < least || offer <= b.AsOf.TimeUS/1000) {
			k.Errorf("claimed at %d us what is offered at %d, want %d or later", b.AsOf.TimeUS, offer, least)
		}
		if again, err := k.Claim(k.Context(), k.p, req); err != nil || !again.Repeated || len(again.Claims) != 1 || again.Claims[0].OfferMS != 0 {
			k.Errorf("claimed again %+v, %v, want that it is repeated", again, err)
		}
		_, err = k.Release(k.Context(), k.p, task.ReleaseRequest{Token: req.Token, Refs: refs(e), AtNext: true, NotBeforeMS: far - 1})
		k.must(err)
		found, err := k.Find(k.Context(), k.p, refs(e))
		if k.must(err); found[0].Outcome != task.FindWaiting || found[0].NextMS != far-1 {
			k.Errorf("a release until %d left %+v", far-1, found)
		}
		return offer != 0
	})
}

func repeatedClaim(k *kit) {
	k.warm()
	k.add(task.AddTaken, entry("a", 1), entry("b", 2), entry("c", 3))
	first := k.claim("t", 2)
	if again := k.claim("t", 2); len(again.Claims) != 2 || len(first.Claims) != 2 {
		k.Errorf("claimed %q, and again with the same token %q", k.ids(first), k.ids(again))
	}
	k.claimed("t2", "c")
}

func checkChangesNothing(k *kit) {
	if err := k.Check(k.Context(), k.p); err != nil {
		k.Errorf("Check of a cold partition: %v", err)
	}
	if st, err := k.State(k.Context(), k.p); err != nil || st.AsOf.Generation != 0 {
		k.Errorf("after a Check a cold partition is %+v, %v", st, err)
	}
	k.warm()
	k.add(task.AddTaken, entry("a", 1), entry("b", 2), entry("gone", 3))
	k.claim("t", 1)
	if _, err := k.Remove(k.Context(), k.p, "", []task.Ref{entry("gone", 3).Ref}); err != nil {
		k.Fatal(err)
	}
	before, err := k.State(k.Context(), k.p)
	if err != nil {
		k.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := k.Check(k.Context(), k.p); err != nil {
				k.Errorf("Check: %v", err)
			}
		})
	}
	all.Wait()
	after, err := k.State(k.Context(), k.p)
	if before.AsOf, after.AsOf = (task.AsOf{}), (task.AsOf{}); err != nil || before != after {
		k.Errorf("State before a Check %+v, and after it %+v, %v", before, after, err)
	}
	k.add(task.AddDead, entry("gone", 3))
	k.claimed("t2", "b")
}

func claimedOnce(k *kit) {
	k.warm()
	const n = 3000
	var all []task.Entry
	for i := range n {
		all = append(all, entry(fmt.Sprint(i), int64(i%7)))
	}
	k.add(task.AddTaken, all...)
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				b, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: fmt.Sprint(w, "-", i), Limit: 37, Lease: time.Minute})
				if err != nil || len(b.Claims) == 0 {
					if err != nil {
						k.Error(err)
					}
					return
				}
				mu.Lock()
				for _, c := range b.Claims {
					seen[c.ID]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for id, times := range seen {
		if times != 1 {
			k.Errorf("%s was claimed %d times", id, times)
		}
	}
	if len(seen) != n {
		k.Errorf("%d of %d members were claimed", len(seen), n)
	}
}

func removeTells(k *kit) {
	k.warm()
	a, b, c := entry("a", 1), entry("b", far-1), entry("c", 1)
	k.add(task.AddTaken, a, b)
	k.claimed("t", "a")
	k.removed("Remove", refs(a, b, c), task.RemoveClaimed, task.RemoveWaiting, task.RemoveAbsent)
	k.removed("Remove once more, as the answer may have been lost", refs(a, b, c), task.RemoveClaimed, task.RemoveAbsent, task.RemoveAbsent)
	if s, err := k.State(k.Context(), k.p); err != nil || s.Waiting != 0 || s.Claimed != 0 {
		k.Errorf("after Remove State answered %+v, %v", s, err)
	}
	got, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "t", Refs: refs(a)})
	k.must(err)
	each(k, "Release of a removed member", got, 1, task.ReleaseDead)
	k.claimed("t2")
}

// removed removes members that the caller holds in no batch.
func (k *kit) removed(what string, refs []task.Ref, want ...task.RemoveOutcome) {
	k.Helper()
	got, err := k.Remove(k.Context(), k.p, "", refs)
	k.must(err)
	if !slices.Equal(got.Outcomes, want) {
		k.Errorf("%s answered %v, want %v", what, got.Outcomes, want)
	}
}

// If a worker has some version of a task, the task is claimed in each of its versions: the
// worker may still hand it out, whichever caller removed which version. If the holder itself
// has removed its version, the task is in no worker's hands.
func removeTellsOfOtherVersions(k *kit) {
	k.warm()
	a, b, c, d := entry("a", 1), entry("b", 1), entry("c", 1), entry("d", 1)
	later := func(e task.Entry) task.Entry {
		e.Ver += 1000
		e.NextMS = far - 1
		return e
	}
	k.add(task.AddTaken, a, b, c, d)
	k.claimed("t", "a", "b", "c", "d")
	k.add(task.AddTaken, later(a), later(b), later(c))
	k.removed("Remove of old and new", refs(later(a), a), task.RemoveClaimed, task.RemoveClaimed)
	k.removed("Remove of the old", refs(b), task.RemoveClaimed)
	k.removed("Remove of the new one, later", refs(later(b)), task.RemoveClaimed)
	_, err := k.Remove(k.Context(), k.p, "t", refs(c))
	k.must(err)
	k.removed("Remove of the new one, where the holder has answered", refs(later(c)), task.RemoveWaiting)
	_, err = k.Remove(k.Context(), k.p, "another", refs(d))
	k.must(err)
	k.removed("Remove of the new one, where another than the holder has answered", refs(later(d)), task.RemoveClaimed)
}

// A holder whose lease had ended, and whose batch was given back in part or whole,
// has done the work: its rows are gone, and the members are not offered again.
func removeTakesGivenBack(k *kit) {
	k.warm()
	a, b, c := entry("a", 1), entry("b", 2), entry("c", 3)
	k.add(task.AddTaken, a, b, c)
	k.claimed("t", "a", "b", "c")
	_, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "t", Refs: refs(a), AtNext: true})
	k.must(err)
	_, err = k.Remove(k.Context(), k.p, "t", refs(a, b))
	k.must(err)
	_, err = k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "t", Refs: refs(c), AtNext: true})
	k.must(err)
	_, err = k.Remove(k.Context(), k.p, "t", refs(c))
	k.must(err)
	k.claimed("t2")
	if s, err := k.State(k.Context(), k.p); err != nil || s.Waiting != 0 || s.Claimed != 0 {
		k.Errorf("after Remove State answered %+v, %v", s, err)
	}
}

func releaseOffersAgain(k *kit) {
	k.warm()
	k.add(task.AddTaken, entry("a", 1), entry("b", 2), entry("c", 3))
	b := k.claimed("t", "a", "b", "c")
	release := func(r task.ReleaseRequest, want task.ReleaseOutcome) {
		k.Helper()
		r.Token = "t"
		got, err := k.Release(k.Context(), k.p, r)
		k.must(err)
		each(k, "Release", got, len(r.Refs), want)
	}
	release(task.ReleaseRequest{Refs: refs(b.Claims[0].Entry), AtNext: true}, task.ReleaseWaiting)
	release(task.ReleaseRequest{Refs: refs(b.Claims[1].Entry), Counted: true}, task.ReleaseWaiting)
	release(task.ReleaseRequest{Refs: refs(b.Claims[2].Entry), Delay: time.Hour, Counted: true}, task.ReleaseWaiting)
	got := k.claim("t2", 10)
	if k.ids(got) != "a b" || got.Claims[0].Attempt != 0 || got.Claims[1].Attempt != 1 || string(got.Claims[1].Payload) != "p" {
		k.Errorf("claimed again %+v", got.Claims)
	}
	if low, high := k.now().TimeUS/1000+3_590_000, k.now().TimeUS/1000+3_600_001; got.NextMS < low || got.NextMS > high {
		k.Errorf("a delay of 1 h offers again at %d, want about %d", got.NextMS, high)
	}
}

func releaseIsOfOwnBatch(k *kit) {
	k.warm()
	a, b := entry("a", 1), entry("b", 1)
	k.add(task.AddTaken, a)
	k.claimed("t", "a")
	for token, want := range map[string]task.ReleaseOutcome{"other": task.ReleaseElsewhere, "t": task.ReleaseWaiting} {
		if token == "t" {
			continue // below: maps have no order
		}
		got, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: token, Refs: refs(a)})
		k.must(err)
		each(k, "Release from another batch", got, 1, want)
	}
	k.claimed("t2")
	got, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "t", Refs: refs(b)})
	k.must(err)
	each(k, "Release of no member", got, 1, task.ReleaseAbsent)
	_, err = k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "t", Refs: refs(a)})
	k.must(err)
	got, err = k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "t", Refs: refs(a)})
	k.must(err)
	each(k, "second Release", got, 1, task.ReleaseElsewhere)
}

func delayBeyond(k *kit) {
	now := int64(0)
	{
		_, err := k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: 1, Limit: 10})
		k.must(err)
		now = k.now().TimeUS / 1000
	}
	_, err := k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: now + 60_000, Limit: 10})
	k.must(err)
	a := entry("a", 1)
	k.add(task.AddTaken, a)
	k.claimed("t", "a")
	got, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "t", Refs: refs(a), Delay: time.Hour})
	k.must(err)
	each(k, "Release beyond the horizon", got, 1, task.ReleaseBeyond)
	got, err = k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "t", Refs: refs(a)})
	k.must(err)
	each(k, "Release after that", got, 1, task.ReleaseWaiting)
}

func (k *kit) expired(lease time.Duration) []task.ExpiredBatch {
	k.Helper()
	all, err := k.Expired(k.Context(), k.p, 10, lease)
	k.must(err)
	return all
}

func leasesEnd(k *kit) {
	f := k.warm()
	k.add(task.AddTaken, entry("a", 1), entry("b", 1))
	const lease = 60 * time.Millisecond
	b, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: "short", Limit: 2, Lease: lease})
	if k.must(err); len(b.Claims) != 2 {
		k.Fatalf("claimed %q", k.ids(b))
	}
	var over []task.ExpiredBatch
	k.until("the lease is over", func() bool { over = k.expired(lease); return len(over) > 0 })
	if len(over) != 1 || over[0].Token != "short" || len(over[0].Refs) != 2 {
		k.Fatalf("Expired answered %+v", over)
	}
	if at := k.now().TimeUS; at < b.AsOf.TimeUS+lease.Microseconds() {
		k.Errorf("the lease of a batch claimed at %d was over at %d", b.AsOf.TimeUS, at)
	}
	if over := k.expired(time.Hour); len(over) != 0 {
		k.Errorf("within a lease of the generation's beginning (%d) Expired answered %+v", f.StartMS, over)
	}
	got, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "short", Refs: over[0].Refs, AtNext: true, Counted: true, Expired: true, AsOf: k.now()})
	k.must(err)
	each(k, "Release of an expired batch", got, 2, task.ReleaseWaiting)
	if b := k.claimed("t2", "a", "b"); b.Claims[0].Attempt != 1 {
		k.Errorf("a lost lease counts as an attempt: %+v", b.Claims[0])
	}
	e, err := k.Extend(k.Context(), k.p, task.ExtendRequest{Generation: f.AsOf.Generation, Tokens: []string{"short", "t2"}, Lease: lease})
	if k.must(err); !slices.Equal(e.Lost, []string{"short"}) {
		k.Errorf("Extend of a reaped batch and a live one: lost %q, want short", e.Lost)
	}
}

func extensionWins(k *kit) {
	f := k.warm()
	a := entry("a", 1)
	k.add(task.AddTaken, a)
	_, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Millisecond})
	k.must(err)
	k.until("the lease is over", func() bool { return len(k.expired(0)) > 0 })
	e, err := k.Extend(k.Context(), k.p, task.ExtendRequest{Generation: f.AsOf.Generation, Tokens: []string{"t"}, Lease: time.Minute})
	if k.must(err); len(e.Lost) != 0 {
		k.Errorf("Extend before the reaper: lost %q", e.Lost)
	}
	got, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "t", Refs: refs(a), Expired: true, AsOf: k.now()})
	k.must(err)
	each(k, "the reaper's Release after an extension", got, 1, task.ReleaseLeased)
	k.claimed("t2")
}

func reaperNeedsFresh(k *kit) {
	k.warm()
	a := entry("a", 1)
	k.add(task.AddTaken, a)
	_, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Millisecond})
	k.must(err)
	k.until("the lease is over", func() bool { return len(k.expired(0)) > 0 })
	old := k.now()
	old.TimeUS -= (task.TombstoneTTL + time.Second).Microseconds()
	_, err = k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "t", Refs: refs(a), Expired: true, AsOf: old})
	k.is(err, task.ErrStale, "the reaper's Release with old knowledge")
	k.claimed("t2")
}

func extendTells(k *kit) {
	f := k.warm()
	a, b := entry("a", 1), entry("b", 1)
	k.add(task.AddTaken, a, b)
	k.claimed("t", "a", "b")
	_, err := k.Remove(k.Context(), k.p, "", refs(b))
	k.must(err)
	held := task.ExtendRequest{Generation: f.AsOf.Generation, Tokens: []string{"t", "never"}, Refs: refs(a, b), Lease: time.Minute}
	e, err := k.Extend(k.Context(), k.p, held)
	if k.must(err); !slices.Equal(e.Lost, []string{"never"}) || !slices.Equal(e.Gone, refs(b)) {
		k.Errorf("Extend answered lost %q, gone %v", e.Lost, e.Gone)
	}
	held.Generation++
	_, err = k.Extend(k.Context(), k.p, held)
	k.is(err, task.ErrAborted, "Extend under another generation")
}

func registered(k *kit) {
	_, err := k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: 100, Limit: 10})
	k.must(err)
	absent, waiting, beyond, other := entry("absent", 1), entry("waiting", 1), entry("beyond", 200), entry("other", 1)
	k.add(task.AddTaken, other)
	k.claimed("others", "other")
	k.add(task.AddTaken, waiting)
	for _, try := range []string{"first", "repeated"} {
		got, err := k.Add(k.Context(), k.p, task.AddRequest{AsOf: k.now(), Entries: []task.Entry{absent, waiting, beyond, other}, Token: "mine", Lease: time.Minute})
		k.must(err)
		if want := []task.AddOutcome{task.AddClaimed, task.AddClaimed, task.AddClaimed, task.AddElsewhere}; !slices.Equal(got, want) {
			k.Errorf("%s Add with a token answered %v, want %v", try, got, want)
		}
	}
	k.claimed("t")
	got, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "mine", Refs: refs(absent, waiting, beyond), AtNext: true})
	k.must(err)
	each(k, "Release of registered members", got, 3, task.ReleaseWaiting)
}
