// Package hotsettest is the conformance suite of hotset.Set: every
// implementation passes it, also a third party's.
//
//	func TestSet(t *testing.T) { hotsettest.Run(t, open) }
//
// It runs by the set's own clock and takes some seconds.
package hotsettest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// Open returns a Set that is empty and cold, in a namespace of its own, with that
// many partitions; closed at t's end.
type Open func(t *testing.T, partitions int) hotset.Set

// Run runs the suite with 1 and with 4 partitions.
func Run(t *testing.T, open Open) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("p%d", partitions), func(t *testing.T) {
			for _, c := range claims {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.test(&kit{T: t, Set: open(t, partitions), p: partitions - 1})
				})
			}
		})
	}
}

var claims = []struct {
	name string
	test func(*kit)
}{
	{"AColdPartitionSaysSo", coldSaysSo},
	{"AGenerationBeginsEmpty", generationBeginsEmpty},
	{"TheHorizonIsExactToTheMillisecond", horizonIsExact},
	{"TheHorizonOnlyRises", horizonOnlyRises},
	{"AFullPartitionRetreats", fullPartitionRetreats},
	{"AnOlderFeederIsRefused", olderFeederIsRefused},
	{"FeedMovesLoadedNeverBackNorBeyondTheHorizon", feedMovesLoaded},
	{"WhatIsKnownFromBeforeIsStale", oldKnowledgeIsStale},
	{"ARemovedMemberIsDead", removedIsDead},
	{"ARecreatedTaskIsAnotherMember", recreatedIsAnother},
	{"AddTwiceIsOnce", addTwiceIsOnce},
	{"MembersComeBackWhole", membersComeBackWhole},
	{"ClaimTakesTheOldestFirst", claimTakesOldest},
	{"ClaimIsNeverEarly", claimIsNeverEarly},
	{"ARepeatedClaimReturnsItsBatch", repeatedClaim},
	{"EachMemberIsClaimedOnce", claimedOnce},
	{"RemoveTellsWhatWas", removeTells},
	{"ReleaseOffersAgain", releaseOffersAgain},
	{"ReleaseIsOfOnesOwnBatch", releaseIsOfOwnBatch},
	{"ADelayBeyondTheHorizonStays", delayBeyond},
	{"LeasesEndUnlessExtended", leasesEnd},
	{"AnExtensionWinsOverTheReaper", extensionWins},
	{"TheReaperNeedsFreshKnowledge", reaperNeedsFresh},
	{"ExtendTellsWhatIsGone", extendTells},
	{"RegisteredMembersAreClaimed", registered},
	{"FindTellsWhereMembersAre", find},
	{"StateCounts", state},
	{"ElectionsHaveOneWinner", elect},
	{"AnEarlierMemberWakes", wakes},
	{"ManyMembersInOneCall", manyMembers},
	{"PartitionsAreIndependent", independent},
}

// kit is a Set under test, and the partition that the test uses.
type kit struct {
	*testing.T
	hotset.Set
	p int
}

const far = int64(4_000_000_000_000) // ms, beyond any test

func (k *kit) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

// warm begins a generation whose horizon is far.
func (k *kit) warm() task.Feeding {
	k.Helper()
	f, err := k.Horizon(k.Context(), k.p, task.Feed{Epoch: 1, HorizonMS: far, Limit: 1_000_000})
	k.must(err)
	return f
}

func (k *kit) now() task.AsOf {
	k.Helper()
	s, err := k.State(k.Context(), k.p)
	k.must(err)
	return s.AsOf
}

func entry(id string, dueMS int64) task.Entry {
	return task.Entry{Ref: task.Ref{ID: id, Ver: 1}, DueMS: dueMS, ExecMS: dueMS, Payload: []byte("p")}
}

func (k *kit) add(want task.Answer, entries ...task.Entry) {
	k.Helper()
	got, err := k.Add(k.Context(), k.p, task.Adding{AsOf: k.now(), Entries: entries})
	k.must(err)
	k.each("Add", got, len(entries), want)
}

func (k *kit) each(act string, got []task.Answer, n int, want task.Answer) {
	k.Helper()
	if len(got) != n {
		k.Fatalf("%s of %d members gave %d answers", act, n, len(got))
	}
	for i, a := range got {
		if a != want {
			k.Fatalf("%s answered %v, want %d for member %d", act, got, want, i)
		}
	}
}

func (k *kit) claim(token string, limit int) task.Batch {
	k.Helper()
	b, err := k.Claim(k.Context(), k.p, token, limit, time.Minute)
	k.must(err)
	return b
}

func (k *kit) ids(b task.Batch) string {
	var ids []string
	for _, c := range b.Claims {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, " ")
}

// claimed expects the next claim to take just these, in any order.
func (k *kit) claimed(token string, ids ...string) task.Batch {
	k.Helper()
	b := k.claim(token, 1000)
	got := strings.Fields(k.ids(b))
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		k.Fatalf("claimed %q, want %q", got, ids)
	}
	return b
}

func (k *kit) is(err, want error, act string) {
	k.Helper()
	if !errors.Is(err, want) {
		k.Fatalf("%s: %v, want %v", act, err, want)
	}
}

// until waits until ok.
func (k *kit) until(what string, ok func() bool) {
	k.Helper()
	end := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-end:
			k.Fatalf("waited in vain until %s", what)
		}
	}
}

func refs(entries ...task.Entry) []task.Ref {
	var all []task.Ref
	for _, e := range entries {
		all = append(all, e.Ref)
	}
	return all
}

func coldSaysSo(k *kit) {
	ctx, e := k.Context(), entry("a", 1)
	asOf, err := k.Clock(ctx, k.p)
	if k.must(err); asOf.Generation != 0 || asOf.TimeUS == 0 {
		k.Errorf("Clock of a cold partition answered %+v", asOf)
	}
	_, err = k.Add(ctx, k.p, task.Adding{AsOf: asOf, Entries: []task.Entry{e}})
	k.is(err, task.ErrCold, "Add")
	_, err = k.Claim(ctx, k.p, "t", 1, time.Second)
	k.is(err, task.ErrCold, "Claim")
	_, err = k.Extend(ctx, k.p, task.Held{Generation: 1, Tokens: []string{"t"}, Lease: time.Second})
	k.is(err, task.ErrCold, "Extend")
	_, err = k.Feed(ctx, k.p, task.Page{AsOf: asOf, Epoch: 1})
	k.is(err, task.ErrCold, "Feed")
	_, err = k.Release(ctx, k.p, task.Release{Token: "t", Refs: refs(e)})
	k.is(err, task.ErrCold, "Release")
	got, err := k.Remove(ctx, k.p, "", refs(e))
	k.must(err)
	k.each("Remove", got, 1, task.Absent)
	s, err := k.State(ctx, k.p)
	if k.must(err); s.Waiting != 0 || s.AsOf.Generation != 0 {
		k.Errorf("State of a cold partition answered %+v", s)
	}
}

func generationBeginsEmpty(k *kit) {
	f := k.warm()
	if !f.Fresh || f.AsOf.Generation == 0 || f.Members != 0 || f.Loaded != (task.Cursor{}) || f.HorizonMS != far || f.ReadyMS < f.StartMS {
		k.Errorf("first Horizon answered %+v", f)
	}
	if again := k.warm(); again.Fresh || again.AsOf.Generation != f.AsOf.Generation || again.StartMS != f.StartMS {
		k.Errorf("second Horizon answered %+v after %+v", again, f)
	}
	asOf, err := k.Clock(k.Context(), k.p)
	if k.must(err); asOf.Generation != f.AsOf.Generation {
		k.Errorf("Clock answered generation %d, want %d", asOf.Generation, f.AsOf.Generation)
	}
}

func horizonIsExact(k *kit) {
	_, err := k.Horizon(k.Context(), k.p, task.Feed{Epoch: 1, HorizonMS: 1000, Limit: 10})
	k.must(err)
	k.add(task.Waiting, entry("in", 999))
	k.add(task.Beyond, entry("out", 1000))
	k.claimed("t", "in")
}

func horizonOnlyRises(k *kit) {
	for _, c := range [][2]int64{{1000, 1000}, {500, 1000}, {2000, 2000}} {
		f, err := k.Horizon(k.Context(), k.p, task.Feed{Epoch: 1, HorizonMS: c[0], Limit: 10})
		if k.must(err); f.HorizonMS != c[1] {
			k.Errorf("Horizon of %d answered %d, want %d", c[0], f.HorizonMS, c[1])
		}
	}
}

func fullPartitionRetreats(k *kit) {
	f := k.warm()
	var all []task.Entry
	for i := range 50 {
		all = append(all, entry(fmt.Sprintf("t%02d", i), far-1000+int64(i)))
	}
	all[40].Attempt = 1 // the row may not know of it: it stays
	for _, taken := range []int{50, 0} {
		got, err := k.Feed(k.Context(), k.p, task.Page{AsOf: f.AsOf, Epoch: 1, Entries: all, Loaded: cursor(all[49])})
		if k.must(err); got.Taken != taken || got.Members != 50 {
			k.Errorf("Feed of 50 answered %+v, want %d taken", got, taken)
		}
	}
	put := entry("put-off", 1) // its row is due early, its offer is late: it stays
	k.add(task.Waiting, put)
	k.claimed("t", "put-off")
	got, err := k.Release(k.Context(), k.p, task.Release{Token: "t", Refs: refs(put), Delay: time.Duration(far-100-k.now().TimeUS/1000) * time.Millisecond})
	k.must(err)
	k.each("Release", got, 1, task.Waiting)
	f, err = k.Horizon(k.Context(), k.p, task.Feed{Epoch: 1, HorizonMS: far + 1, Limit: 20})
	if k.must(err); !f.Retreated || f.HorizonMS != far-1000+20 || f.Loaded != (task.Cursor{DueMS: far - 1000 + 20}) || f.Members != 22 {
		k.Errorf("Horizon over the limit answered %+v, want it at %d with 22 members", f, far-1000+20)
	}
	k.add(task.Beyond, all[20])
	k.add(task.Present, all[19])
	found, err := k.Find(k.Context(), k.p, refs(all[19], all[20], put, all[40]))
	if k.must(err); found[0].Answer != task.Waiting || found[1].Answer != task.Absent || found[2].Answer != task.Waiting || found[3].Answer != task.Waiting {
		k.Errorf("after the retreat Find answered %+v", found)
	}
}

func olderFeederIsRefused(k *kit) {
	ctx := k.Context()
	f, err := k.Horizon(ctx, k.p, task.Feed{Epoch: 7, HorizonMS: far, Limit: 10})
	k.must(err)
	_, err = k.Horizon(ctx, k.p, task.Feed{Epoch: 6, HorizonMS: far, Limit: 10})
	k.is(err, task.ErrAborted, "Horizon of an older epoch")
	_, err = k.Feed(ctx, k.p, task.Page{AsOf: f.AsOf, Epoch: 6, Loaded: task.Cursor{DueMS: 5}})
	k.is(err, task.ErrAborted, "Feed of an older epoch")
	other := f.AsOf
	other.Generation++
	_, err = k.Feed(ctx, k.p, task.Page{AsOf: other, Epoch: 7, Loaded: task.Cursor{DueMS: 5}})
	k.is(err, task.ErrAborted, "Feed of another generation")
}

func feedMovesLoaded(k *kit) {
	f, err := k.Horizon(k.Context(), k.p, task.Feed{Epoch: 1, HorizonMS: 1000, Limit: 10})
	k.must(err)
	for _, c := range []struct{ to, want task.Cursor }{
		{task.Cursor{DueMS: 10, ID: "b"}, task.Cursor{DueMS: 10, ID: "b"}},
		{task.Cursor{DueMS: 5, ID: "z"}, task.Cursor{DueMS: 10, ID: "b"}},
		{task.Cursor{DueMS: 1000}, task.Cursor{DueMS: 1000}},
		{task.Cursor{DueMS: 2000, ID: "x"}, task.Cursor{DueMS: 1000}},
	} {
		got, err := k.Feed(k.Context(), k.p, task.Page{AsOf: f.AsOf, Epoch: 1, Loaded: c.to})
		if k.must(err); got.Loaded != c.want {
			k.Errorf("Feed to %v left loaded at %v, want %v", c.to, got.Loaded, c.want)
		}
	}
}

func oldKnowledgeIsStale(k *kit) {
	f := k.warm()
	old, other := k.now(), k.now()
	old.TimeUS -= (task.TombstoneTTL + time.Second).Microseconds()
	other.Generation++
	for name, asOf := range map[string]task.AsOf{"too old": old, "another generation": other, "no": {}} {
		for _, token := range []string{"", "held"} {
			_, err := k.Add(k.Context(), k.p, task.Adding{AsOf: asOf, Entries: []task.Entry{entry("a", 1)}, Token: token, Lease: time.Second})
			k.is(err, task.ErrStale, "Add with "+name+" knowledge, token "+token)
		}
	}
	_, err := k.Feed(k.Context(), k.p, task.Page{AsOf: old, Epoch: 1, Entries: []task.Entry{entry("a", 1)}, Loaded: task.Cursor{DueMS: 1}})
	k.is(err, task.ErrStale, "Feed with old knowledge")
	if s := k.warm(); s.Members != 0 || s.Loaded != f.Loaded {
		k.Errorf("stale calls changed the partition: %+v", s)
	}
}

func removedIsDead(k *kit) {
	f := k.warm()
	a, b := entry("a", 1), entry("b", 1)
	k.add(task.Waiting, a)
	_, err := k.Remove(k.Context(), k.p, "", refs(a, b)) // b was never in: its creator is slow
	k.must(err)
	k.add(task.Dead, a, b)
	got, err := k.Add(k.Context(), k.p, task.Adding{AsOf: k.now(), Entries: []task.Entry{a}, Token: "held", Lease: time.Minute})
	k.must(err)
	k.each("Add with a token", got, 1, task.Dead)
	_, err = k.Feed(k.Context(), k.p, task.Page{AsOf: f.AsOf, Epoch: 1, Entries: []task.Entry{a, b}, Loaded: task.Cursor{DueMS: 2}})
	k.must(err)
	k.claimed("t")
}

func recreatedIsAnother(k *kit) {
	k.warm()
	old, young := entry("a", 1), entry("a", 1)
	young.Ver = -old.Ver
	k.add(task.Waiting, old)
	_, err := k.Remove(k.Context(), k.p, "", refs(old))
	k.must(err)
	k.add(task.Waiting, young)
	if b := k.claimed("t", "a"); b.Claims[0].Ref != young.Ref {
		k.Errorf("claimed %v, want %v", b.Claims[0].Ref, young.Ref)
	}
}

func addTwiceIsOnce(k *kit) {
	k.warm()
	k.add(task.Waiting, entry("a", 1))
	other := entry("a", 2)
	other.Attempt = 9
	k.add(task.Present, other)
	if b := k.claimed("t", "a"); b.Claims[0].Attempt != 0 {
		k.Errorf("a second Add changed the record: %+v", b.Claims[0])
	}
	k.add(task.Present, other)
	k.claimed("t2")
}

func membersComeBackWhole(k *kit) {
	k.warm()
	want := map[string]task.Entry{}
	for i, id := range []string{"plain", "a:b{c}", "line\nbreak", "😀é", strings.Repeat("x", task.MaxID), "pre", "prefix", " "} {
		e := task.Entry{Ref: task.Ref{ID: id, Ver: int64(i) - 4}, DueMS: int64(i), ExecMS: int64(i) + 5, Attempt: i}
		switch i % 3 {
		case 0:
			e.Payload = []byte("\x00\xff:\n%d\r\n:i:")
		case 1:
			e.External = true
		}
		want[id] = e
		k.add(task.Waiting, e)
		if e.Payload != nil {
			e.Payload[0] = 0 // what was handed over is not kept
		}
	}
	for _, c := range k.claim("t", 100).Claims {
		w := want[c.ID]
		if c.Lost || c.Ref != w.Ref || c.DueMS != w.DueMS || c.ExecMS != w.ExecMS || c.Attempt != w.Attempt ||
			c.External != w.External || string(c.Payload) != string(w.Payload) {
			k.Errorf("claimed %+v, want %+v", c, w)
		}
		delete(want, c.ID)
	}
	if len(want) > 0 {
		k.Errorf("not claimed: %v", want)
	}
}

func claimTakesOldest(k *kit) {
	k.warm()
	k.add(task.Waiting, entry("c", 30), entry("a", 10), entry("b", 20), entry("later", far-7))
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
	k.add(task.Waiting, entry("a", due), entry("b", due+500))
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

func repeatedClaim(k *kit) {
	k.warm()
	k.add(task.Waiting, entry("a", 1), entry("b", 2), entry("c", 3))
	first := k.claim("t", 2)
	if again := k.claim("t", 2); len(again.Claims) != 2 || len(first.Claims) != 2 {
		k.Errorf("claimed %q, and again with the same token %q", k.ids(first), k.ids(again))
	}
	k.claimed("t2", "c")
}

func claimedOnce(k *kit) {
	k.warm()
	const n = 3000
	var all []task.Entry
	for i := range n {
		all = append(all, entry(fmt.Sprint(i), int64(i%7)))
	}
	k.add(task.Waiting, all...)
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				b, err := k.Claim(k.Context(), k.p, fmt.Sprint(w, "-", i), 37, time.Minute)
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
	k.add(task.Waiting, a, b)
	k.claimed("t", "a")
	got, err := k.Remove(k.Context(), k.p, "", refs(a, b, c))
	k.must(err)
	if want := []task.Answer{task.Claimed, task.Waiting, task.Absent}; !slices.Equal(got, want) {
		k.Errorf("Remove answered %v, want %v", got, want)
	}
	got, err = k.Remove(k.Context(), k.p, "", refs(a, b, c))
	k.must(err)
	k.each("Remove once more, as the answer may have been lost", got, 3, task.Claimed)
	if s, err := k.State(k.Context(), k.p); err != nil || s.Waiting != 0 || s.Claimed != 0 {
		k.Errorf("after Remove State answered %+v, %v", s, err)
	}
	got, err = k.Release(k.Context(), k.p, task.Release{Token: "t", Refs: refs(a)})
	k.must(err)
	k.each("Release of a removed member", got, 1, task.Dead)
	k.claimed("t2")
}

func releaseOffersAgain(k *kit) {
	k.warm()
	k.add(task.Waiting, entry("a", 1), entry("b", 2), entry("c", 3))
	b := k.claimed("t", "a", "b", "c")
	release := func(r task.Release, want task.Answer) {
		k.Helper()
		r.Token = "t"
		got, err := k.Release(k.Context(), k.p, r)
		k.must(err)
		k.each("Release", got, len(r.Refs), want)
	}
	release(task.Release{Refs: refs(b.Claims[0].Entry), AtDue: true}, task.Waiting)
	release(task.Release{Refs: refs(b.Claims[1].Entry), Counted: true}, task.Waiting)
	release(task.Release{Refs: refs(b.Claims[2].Entry), Delay: time.Hour, Counted: true}, task.Waiting)
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
	k.add(task.Waiting, a)
	k.claimed("t", "a")
	for token, want := range map[string]task.Answer{"other": task.Elsewhere, "t": task.Waiting} {
		if token == "t" {
			continue // below: maps have no order
		}
		got, err := k.Release(k.Context(), k.p, task.Release{Token: token, Refs: refs(a)})
		k.must(err)
		k.each("Release from another batch", got, 1, want)
	}
	k.claimed("t2")
	got, err := k.Release(k.Context(), k.p, task.Release{Token: "t", Refs: refs(b)})
	k.must(err)
	k.each("Release of no member", got, 1, task.Absent)
	_, err = k.Release(k.Context(), k.p, task.Release{Token: "t", Refs: refs(a)})
	k.must(err)
	got, err = k.Release(k.Context(), k.p, task.Release{Token: "t", Refs: refs(a)})
	k.must(err)
	k.each("second Release", got, 1, task.Elsewhere)
}

func delayBeyond(k *kit) {
	now := int64(0)
	{
		_, err := k.Horizon(k.Context(), k.p, task.Feed{Epoch: 1, HorizonMS: 1, Limit: 10})
		k.must(err)
		now = k.now().TimeUS / 1000
	}
	_, err := k.Horizon(k.Context(), k.p, task.Feed{Epoch: 1, HorizonMS: now + 60_000, Limit: 10})
	k.must(err)
	a := entry("a", 1)
	k.add(task.Waiting, a)
	k.claimed("t", "a")
	got, err := k.Release(k.Context(), k.p, task.Release{Token: "t", Refs: refs(a), Delay: time.Hour})
	k.must(err)
	k.each("Release beyond the horizon", got, 1, task.Beyond)
	got, err = k.Release(k.Context(), k.p, task.Release{Token: "t", Refs: refs(a)})
	k.must(err)
	k.each("Release after that", got, 1, task.Waiting)
}

func (k *kit) expired(lease time.Duration) []task.Reaped {
	k.Helper()
	all, err := k.Expired(k.Context(), k.p, 10, lease)
	k.must(err)
	return all
}

func leasesEnd(k *kit) {
	f := k.warm()
	k.add(task.Waiting, entry("a", 1), entry("b", 1))
	const lease = 60 * time.Millisecond
	b, err := k.Claim(k.Context(), k.p, "short", 2, lease)
	if k.must(err); len(b.Claims) != 2 {
		k.Fatalf("claimed %q", k.ids(b))
	}
	var over []task.Reaped
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
	got, err := k.Release(k.Context(), k.p, task.Release{Token: "short", Refs: over[0].Refs, AtDue: true, Counted: true, Expired: true, AsOf: k.now()})
	k.must(err)
	k.each("Release of an expired batch", got, 2, task.Waiting)
	if b := k.claimed("t2", "a", "b"); b.Claims[0].Attempt != 1 {
		k.Errorf("a lost lease counts as an attempt: %+v", b.Claims[0])
	}
	e, err := k.Extend(k.Context(), k.p, task.Held{Generation: f.AsOf.Generation, Tokens: []string{"short", "t2"}, Lease: lease})
	if k.must(err); !slices.Equal(e.Lost, []string{"short"}) {
		k.Errorf("Extend of a reaped batch and a live one: lost %q, want short", e.Lost)
	}
}

func extensionWins(k *kit) {
	f := k.warm()
	a := entry("a", 1)
	k.add(task.Waiting, a)
	_, err := k.Claim(k.Context(), k.p, "t", 1, time.Millisecond)
	k.must(err)
	k.until("the lease is over", func() bool { return len(k.expired(0)) > 0 })
	e, err := k.Extend(k.Context(), k.p, task.Held{Generation: f.AsOf.Generation, Tokens: []string{"t"}, Lease: time.Minute})
	if k.must(err); len(e.Lost) != 0 {
		k.Errorf("Extend before the reaper: lost %q", e.Lost)
	}
	got, err := k.Release(k.Context(), k.p, task.Release{Token: "t", Refs: refs(a), Expired: true, AsOf: k.now()})
	k.must(err)
	k.each("the reaper's Release after an extension", got, 1, task.Claimed)
	k.claimed("t2")
}

func reaperNeedsFresh(k *kit) {
	k.warm()
	a := entry("a", 1)
	k.add(task.Waiting, a)
	_, err := k.Claim(k.Context(), k.p, "t", 1, time.Millisecond)
	k.must(err)
	k.until("the lease is over", func() bool { return len(k.expired(0)) > 0 })
	old := k.now()
	old.TimeUS -= (task.TombstoneTTL + time.Second).Microseconds()
	_, err = k.Release(k.Context(), k.p, task.Release{Token: "t", Refs: refs(a), Expired: true, AsOf: old})
	k.is(err, task.ErrStale, "the reaper's Release with old knowledge")
	k.claimed("t2")
}

func extendTells(k *kit) {
	f := k.warm()
	a, b := entry("a", 1), entry("b", 1)
	k.add(task.Waiting, a, b)
	k.claimed("t", "a", "b")
	_, err := k.Remove(k.Context(), k.p, "", refs(b))
	k.must(err)
	held := task.Held{Generation: f.AsOf.Generation, Tokens: []string{"t", "never"}, Refs: refs(a, b), Lease: time.Minute}
	e, err := k.Extend(k.Context(), k.p, held)
	if k.must(err); !slices.Equal(e.Lost, []string{"never"}) || !slices.Equal(e.Gone, refs(b)) {
		k.Errorf("Extend answered lost %q, gone %v", e.Lost, e.Gone)
	}
	held.Generation++
	_, err = k.Extend(k.Context(), k.p, held)
	k.is(err, task.ErrAborted, "Extend under another generation")
}

func registered(k *kit) {
	_, err := k.Horizon(k.Context(), k.p, task.Feed{Epoch: 1, HorizonMS: 100, Limit: 10})
	k.must(err)
	absent, waiting, beyond, other := entry("absent", 1), entry("waiting", 1), entry("beyond", 200), entry("other", 1)
	k.add(task.Waiting, other)
	k.claimed("others", "other")
	k.add(task.Waiting, waiting)
	for _, try := range []string{"first", "repeated"} {
		got, err := k.Add(k.Context(), k.p, task.Adding{AsOf: k.now(), Entries: []task.Entry{absent, waiting, beyond, other}, Token: "mine", Lease: time.Minute})
		k.must(err)
		if want := []task.Answer{task.Claimed, task.Claimed, task.Claimed, task.Elsewhere}; !slices.Equal(got, want) {
			k.Errorf("%s Add with a token answered %v, want %v", try, got, want)
		}
	}
	k.claimed("t")
	got, err := k.Release(k.Context(), k.p, task.Release{Token: "mine", Refs: refs(absent, waiting, beyond), AtDue: true})
	k.must(err)
	k.each("Release of registered members", got, 3, task.Waiting)
}

func find(k *kit) {
	k.warm()
	a, b, c := entry("a", far-5), entry("b", 1), entry("c", 1)
	k.add(task.Waiting, a, b)
	k.claimed("t", "b")
	found, err := k.Find(k.Context(), k.p, refs(a, b, c))
	k.must(err)
	want := []task.Found{{Answer: task.Waiting, NextMS: far - 5}, {Answer: task.Claimed}, {Answer: task.Absent}}
	if !slices.Equal(found, want) {
		k.Errorf("Find answered %+v, want %+v", found, want)
	}
}

func state(k *kit) {
	k.warm()
	k.add(task.Waiting, entry("a", 5), entry("b", 1), entry("c", far-1), entry("d", 7))
	k.claim("t", 1)
	s, err := k.State(k.Context(), k.p)
	if k.must(err); s.Waiting != 3 || s.Due != 2 || s.Claimed != 1 || s.OldestMS != 5 || s.HorizonMS != far {
		k.Errorf("State answered %+v", s)
	}
}

func elect(k *kit) {
	ctx := k.Context()
	stand := func(who string, term time.Duration) []task.Term {
		k.Helper()
		got, err := k.Elect(ctx, who, term, task.Feeder, task.Auditor)
		if k.must(err); len(got) != 2 {
			k.Fatalf("Elect for 2 roles answered %+v", got)
		}
		return got
	}
	first := stand("a", 150*time.Millisecond)
	if !first[0].Held || !first[1].Held || !first[0].Fresh || first[0].Epoch == 0 {
		k.Fatalf("first Elect answered %+v", first)
	}
	if got := stand("b", time.Minute); got[0].Held || got[0].Left <= 0 || got[0].Left > 150*time.Millisecond {
		k.Errorf("a rival was answered %+v", got)
	}
	if got := stand("a", 150*time.Millisecond); !got[0].Held || got[0].Fresh || got[0].Epoch != first[0].Epoch {
		k.Errorf("renewal was answered %+v after %+v", got, first)
	}
	var next []task.Term
	k.until("the term ends", func() bool { next = stand("b", time.Minute); return next[0].Held && next[1].Held })
	if next[0].Epoch <= first[0].Epoch {
		k.Errorf("the next holder's epoch is %d after %d", next[0].Epoch, first[0].Epoch)
	}
	if got := stand("a", time.Minute); got[0].Held {
		k.Errorf("two hold a role: %+v", got)
	}
	stand("b", 0)
	if got := stand("a", time.Minute); !got[0].Held || !got[0].Fresh || got[0].Epoch <= next[0].Epoch {
		k.Errorf("after a resignation Elect answered %+v", got)
	}
}

func wakes(k *kit) {
	k.warm()
	ctx, cancel := context.WithCancel(k.Context())
	wake, done := make(chan struct{}, 1), make(chan error, 1)
	go func() { done <- k.Watch(ctx, wake) }()
	due := far - 1
	k.until("an earlier member wakes", func() bool { // the first may come before the subscription stands
		due--
		k.add(task.Waiting, entry(fmt.Sprint(due), due))
		select {
		case <-wake:
			return true
		case <-time.After(20 * time.Millisecond):
			return false
		}
	})
	cancel()
	if err := <-done; err != nil {
		k.Errorf("Watch returned %v when its context ended", err)
	}
}

func manyMembers(k *kit) {
	f := k.warm()
	const n = 2500
	var all []task.Entry
	for i := range n {
		all = append(all, entry(fmt.Sprintf("%05d", i), 1))
	}
	s, err := k.Feed(k.Context(), k.p, task.Page{AsOf: f.AsOf, Epoch: 1, Entries: all, Loaded: cursor(all[n-1])})
	if k.must(err); s.Members != n || s.Loaded != cursor(all[n-1]) {
		k.Errorf("Feed of %d answered %+v", n, s)
	}
	var got []task.Ref
	for i := 0; len(got) < n && i < 10; i++ {
		for _, c := range k.claim(fmt.Sprint("t", i), 5000).Claims {
			got = append(got, c.Ref)
		}
	}
	if len(got) != n {
		k.Fatalf("claimed %d of %d", len(got), n)
	}
	answers, err := k.Remove(k.Context(), k.p, "", got)
	k.must(err)
	k.each("Remove", answers, n, task.Claimed)
	k.add(task.Dead, all...)
}

func independent(k *kit) {
	k.warm()
	k.add(task.Waiting, entry("a", 1))
	for p := range k.Config().Partitions {
		if p == k.p {
			continue
		}
		_, err := k.Claim(k.Context(), p, "t", 10, time.Minute)
		k.is(err, task.ErrCold, "Claim from another partition")
	}
	k.claimed("t", "a")
}

func cursor(e task.Entry) task.Cursor { return task.Cursor{DueMS: e.DueMS, ID: e.ID} }
