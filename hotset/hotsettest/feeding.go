package hotsettest

import (
	"fmt"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

func coldSaysSo(k *kit) {
	ctx, e := k.Context(), entry("a", 1)
	asOf, err := k.Clock(ctx, k.p)
	if k.must(err); asOf.Generation != 0 || asOf.TimeUS == 0 {
		k.Errorf("Clock of a cold partition answered %+v", asOf)
	}
	_, err = k.Add(ctx, k.p, task.AddRequest{AsOf: asOf, Entries: []task.Entry{e}})
	k.is(err, task.ErrCold, "Add")
	_, err = k.Claim(ctx, k.p, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Second})
	k.is(err, task.ErrCold, "Claim")
	_, err = k.Extend(ctx, k.p, task.ExtendRequest{Generation: 1, Tokens: []string{"t"}, Lease: time.Second})
	k.is(err, task.ErrCold, "Extend")
	_, err = k.Feed(ctx, k.p, task.FeedRequest{AsOf: asOf, Epoch: 1})
	k.is(err, task.ErrCold, "Feed")
	_, err = k.Release(ctx, k.p, task.ReleaseRequest{Token: "t", Refs: refs(e)})
	k.is(err, task.ErrCold, "Release")
	got, err := k.Remove(ctx, k.p, "", refs(e))
	k.must(err)
	each(k, "Remove", got.Outcomes, 1, task.RemoveAbsent)
	s, err := k.State(ctx, k.p)
	if k.must(err); s.Waiting != 0 || s.AsOf.Generation != 0 {
		k.Errorf("State of a cold partition answered %+v", s)
	}
}

func generationBeginsEmpty(k *kit) {
	f := k.warm()
	if !f.New || f.AsOf.Generation == 0 || f.Members != 0 || f.Loaded != (task.Cursor{}) || f.HorizonMS != far || f.ReadyMS < f.StartMS {
		k.Errorf("first Horizon answered %+v", f)
	}
	if again := k.warm(); again.New || again.AsOf.Generation != f.AsOf.Generation || again.StartMS != f.StartMS {
		k.Errorf("second Horizon answered %+v after %+v", again, f)
	}
	asOf, err := k.Clock(k.Context(), k.p)
	if k.must(err); asOf.Generation != f.AsOf.Generation {
		k.Errorf("Clock answered generation %d, want %d", asOf.Generation, f.AsOf.Generation)
	}
}

func horizonIsExact(k *kit) {
	_, err := k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: 1000, Limit: 10})
	k.must(err)
	k.add(task.AddTaken, entry("in", 999))
	k.add(task.AddBeyond, entry("out", 1000))
	k.claimed("t", "in")
}

func horizonOnlyRises(k *kit) {
	for _, c := range [][2]int64{{1000, 1000}, {500, 1000}, {2000, 2000}} {
		f, err := k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: c[0], Limit: 10})
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
		got, err := k.Feed(k.Context(), k.p, task.FeedRequest{AsOf: f.AsOf, Epoch: 1, Entries: all, Loaded: cursor(all[49])})
		if k.must(err); got.Taken != taken || got.Members != 50 {
			k.Errorf("Feed of 50 answered %+v, want %d taken", got, taken)
		}
	}
	put := entry("put-off", 1) // its row is due early, its offer is late: it stays
	k.add(task.AddTaken, put)
	k.claimed("t", "put-off")
	got, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "t", Refs: refs(put), Delay: time.Duration(far-900-k.now().TimeUS/1000) * time.Millisecond})
	k.must(err)
	each(k, "Release", got, 1, task.ReleaseWaiting)
	f, err = k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: far + 1, Limit: 20})
	if k.must(err); !f.Retreated || f.HorizonMS != far-1000+20 || f.Loaded != (task.Cursor{NextMS: far - 1000 + 20}) || f.Members != 22 {
		k.Errorf("Horizon over the limit answered %+v, want it at %d with 22 members", f, far-1000+20)
	}
	k.add(task.AddBeyond, all[20])
	k.add(task.AddPresent, all[19])
	found, err := k.Find(k.Context(), k.p, refs(all[19], all[20], put, all[40]))
	if k.must(err); found[0].Outcome != task.FindWaiting || found[1].Outcome != task.FindAbsent || found[2].Outcome != task.FindWaiting || found[3].Outcome != task.FindWaiting {
		k.Errorf("after the retreat Find answered %+v", found)
	}
}

// retreatKeepsDelays has a backlog of which more is due than the partition may hold. A member that was given back with a
// delay and without an attempt stays, though its row is due where the rows of others are dropped.
func retreatKeepsDelays(k *kit) {
	k.warm()
	all := []task.Entry{entry("a", 1), entry("b", 2), entry("c", 3), entry("snoozed", 4), entry("d", 5)}
	k.add(task.AddTaken, all...)
	k.claimed("t", "a", "b", "c", "snoozed", "d")
	back := func(r task.ReleaseRequest, n int) {
		r.Token = "t"
		got, err := k.Release(k.Context(), k.p, r)
		k.must(err)
		each(k, "Release", got, n, task.ReleaseWaiting)
	}
	back(task.ReleaseRequest{Refs: refs(all[3]), Delay: time.Minute}, 1)
	back(task.ReleaseRequest{Refs: refs(all[0], all[1], all[2], all[4]), AtNext: true}, 4)
	f, err := k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: far, Limit: 2})
	if k.must(err); !f.Retreated || f.HorizonMS != 3 || f.Members != 3 {
		k.Errorf("Horizon over the limit answered %+v, want it at 3 with 3 members", f)
	}
	found, err := k.Find(k.Context(), k.p, refs(all[2], all[3], all[4]))
	if k.must(err); found[0].Outcome != task.FindAbsent || found[1].Outcome != task.FindWaiting || found[2].Outcome != task.FindAbsent {
		k.Errorf("after the retreat Find answered %+v, want the snoozed one alone", found)
	}
	if wait := found[1].NextMS - k.now().TimeUS/1000; wait <= 0 || wait > time.Minute.Milliseconds()+1 {
		k.Errorf("the snoozed member is offered in %d ms, want its delay", wait)
	}
}

func olderFeederIsRefused(k *kit) {
	ctx := k.Context()
	f, err := k.Horizon(ctx, k.p, task.HorizonRequest{Epoch: 7, HorizonMS: far, Limit: 10})
	k.must(err)
	_, err = k.Horizon(ctx, k.p, task.HorizonRequest{Epoch: 6, HorizonMS: far, Limit: 10})
	k.is(err, task.ErrAborted, "Horizon of an older epoch")
	_, err = k.Feed(ctx, k.p, task.FeedRequest{AsOf: f.AsOf, Epoch: 6, Loaded: task.Cursor{NextMS: 5}})
	k.is(err, task.ErrAborted, "Feed of an older epoch")
	other := f.AsOf
	other.Generation++
	_, err = k.Feed(ctx, k.p, task.FeedRequest{AsOf: other, Epoch: 7, Loaded: task.Cursor{NextMS: 5}})
	k.is(err, task.ErrAborted, "Feed of another generation")
}

func feedMovesLoaded(k *kit) {
	f, err := k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: 1000, Limit: 10})
	k.must(err)
	for _, c := range []struct{ to, want task.Cursor }{
		{task.Cursor{NextMS: 10, ID: "b"}, task.Cursor{NextMS: 10, ID: "b"}},
		{task.Cursor{NextMS: 5, ID: "z"}, task.Cursor{NextMS: 10, ID: "b"}},
		{task.Cursor{NextMS: 1000}, task.Cursor{NextMS: 1000}},
		{task.Cursor{NextMS: 2000, ID: "x"}, task.Cursor{NextMS: 1000}},
	} {
		got, err := k.Feed(k.Context(), k.p, task.FeedRequest{AsOf: f.AsOf, Epoch: 1, Loaded: c.to})
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
			_, err := k.Add(k.Context(), k.p, task.AddRequest{AsOf: asOf, Entries: []task.Entry{entry("a", 1)}, Token: token, Lease: time.Second})
			k.is(err, task.ErrStale, "Add with "+name+" knowledge, token "+token)
		}
	}
	_, err := k.Feed(k.Context(), k.p, task.FeedRequest{AsOf: old, Epoch: 1, Entries: []task.Entry{entry("a", 1)}, Loaded: task.Cursor{NextMS: 1}})
	k.is(err, task.ErrStale, "Feed with old knowledge")
	if s := k.warm(); s.Members != 0 || s.Loaded != f.Loaded {
		k.Errorf("stale calls changed the partition: %+v", s)
	}
}

func removedIsDead(k *kit) {
	f := k.warm()
	a, b := entry("a", 1), entry("b", 1)
	k.add(task.AddTaken, a)
	_, err := k.Remove(k.Context(), k.p, "", refs(a, b)) // b was never in: its creator is slow
	k.must(err)
	k.add(task.AddDead, a, b)
	got, err := k.Add(k.Context(), k.p, task.AddRequest{AsOf: k.now(), Entries: []task.Entry{a}, Token: "held", Lease: time.Minute})
	k.must(err)
	each(k, "Add with a token", got, 1, task.AddDead)
	_, err = k.Feed(k.Context(), k.p, task.FeedRequest{AsOf: f.AsOf, Epoch: 1, Entries: []task.Entry{a, b}, Loaded: task.Cursor{NextMS: 2}})
	k.must(err)
	k.claimed("t")
}

func recreatedIsAnother(k *kit) {
	k.warm()
	old, young := entry("a", 1), entry("a", 1)
	young.Ver = -old.Ver
	k.add(task.AddTaken, old)
	_, err := k.Remove(k.Context(), k.p, "", refs(old))
	k.must(err)
	k.add(task.AddTaken, young)
	if b := k.claimed("t", "a"); b.Claims[0].Ref != young.Ref {
		k.Errorf("claimed %v, want %v", b.Claims[0].Ref, young.Ref)
	}
}

func addTwiceIsOnce(k *kit) {
	k.warm()
	k.add(task.AddTaken, entry("a", 1))
	other := entry("a", 2)
	other.Attempt = 9
	k.add(task.AddPresent, other)
	if b := k.claimed("t", "a"); b.Claims[0].Attempt != 0 {
		k.Errorf("a second Add changed the entry: %+v", b.Claims[0])
	}
	k.add(task.AddPresent, other)
	k.claimed("t2")
}

func membersComeBackWhole(k *kit) {
	k.warm()
	want := map[string]task.Entry{}
	for i, id := range []string{"plain", "a:b{c}", "line\nbreak", "😀é", strings.Repeat("x", task.MaxID), "pre", "prefix", " ", aUUID, strings.ToUpper(aUUID), strings.ReplaceAll(aUUID, "-", "_"), aUUID + "-"} {
		e := task.Entry{Ref: task.Ref{ID: id, Ver: int64(i) - 4}, NextMS: int64(i), DueMS: int64(i) + 5, Attempt: i}
		switch i % 3 {
		case 0:
			e.Payload = []byte("\x00\xff:\n%d\r\n:i:")
		case 1:
			e.External = true
		}
		if i%2 == 0 && !e.External {
			e.Headers = `{"k":":1:x:\u0000é"}`
		}
		if i%3 != 1 && i != 3 {
			e.ExpiresMS = int64(i) + 7
		}
		if i%4 != 1 && !e.External {
			e.CreatedMS = int64(i) + 9
		}
		want[id] = e
		k.add(task.AddTaken, e)
		if e.Payload != nil {
			e.Payload[0] = 0 // what was handed over is not kept
		}
	}
	for _, c := range k.claim("t", 100).Claims {
		w := want[c.ID]
		if c.EntryLost || c.Ref != w.Ref || c.NextMS != w.NextMS || c.DueMS != w.DueMS || c.Attempt != w.Attempt || c.ExpiresMS != w.ExpiresMS ||
			c.CreatedMS != w.CreatedMS || c.External != w.External || string(c.Payload) != string(w.Payload) || c.Headers != w.Headers {
			k.Errorf("claimed %+v, want %+v", c, w)
		}
		delete(want, c.ID)
	}
	if len(want) > 0 {
		k.Errorf("not claimed: %v", want)
	}
}

// A partition may be full of members that workers hold. None of them is dropped, and the
// horizon stays.
func fullOfClaimed(k *kit) {
	f := k.warm()
	k.add(task.AddTaken, entry("a", 1), entry("b", 2), entry("c", 3))
	k.claimed("t", "a", "b", "c")
	for _, limit := range []int{3, 2} {
		got, err := k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: far + 1, Limit: limit})
		if k.must(err); got.Members != 3 || got.HorizonMS != f.HorizonMS || got.Retreated {
			k.Errorf("Horizon with a limit of %d answered %+v", limit, got)
		}
	}
	e, err := k.Extend(k.Context(), k.p, task.ExtendRequest{Generation: f.AsOf.Generation, Tokens: []string{"t"},
		Refs: refs(entry("a", 1), entry("b", 2), entry("c", 3)), Lease: time.Minute})
	if k.must(err); len(e.Gone)+len(e.Lost) > 0 {
		k.Errorf("Extend afterwards answered %+v", e)
	}
}
