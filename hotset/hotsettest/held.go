package hotsettest

import (
	"fmt"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// oneRemovalOfSeveralBatches has batches that are whole, partly left, and given back, and members that another batch has.
func oneRemovalOfSeveralBatches(k *kit) {
	f := k.warm()
	a1, a2, b1, b2, c, d, e := entry("a1", 1), entry("a2", 2), entry("b1", 3), entry("b2", 4), entry("c", 5), entry("d", 6), entry("e", 7)
	k.add(task.AddTaken, a1, a2, b1, b2, c, d, e)
	k.claim("a", 2)
	k.claim("b", 2)
	k.claim("c", 1)
	k.claim("d", 2)
	back, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "b", Refs: refs(b2), Delay: time.Hour})
	k.must(err)
	each(k, "Release", back, 1, task.ReleaseWaiting)
	held := []task.Held{{Token: "a", Refs: refs(a1, a2)}, {Token: "none"}, {Token: "b", Refs: refs(b1, b2, c)}, {Token: "d", Refs: refs(d)}}
	for range 2 { // once more, as the answer may have been lost
		k.must(k.RemoveHeld(k.Context(), k.p, held))
		if s, err := k.State(k.Context(), k.p); err != nil || s.Waiting != 0 || s.Claimed != 1 {
			k.Fatalf("after RemoveHeld State answered %+v, %v; want one claimed member, of d", s, err)
		}
	}
	got, err := k.Extend(k.Context(), k.p, task.ExtendRequest{Generation: f.AsOf.Generation, Lease: time.Minute, Tokens: []string{"a", "b", "d"}, Refs: refs(d, e)})
	if k.must(err); !slices.Equal(got.Lost, []string{"a", "b"}) || !slices.Equal(got.Gone, refs(d)) {
		k.Errorf("Extend answered %+v, want that only the batch d is left, without d", got)
	}
	k.add(task.AddDead, a1, a2, b1, b2, c, d)
	later := func(e task.Entry) task.Entry { e.Ver++; return e }
	k.removed("Remove of later versions", refs(later(a1), later(b2), later(c), later(d)), task.RemoveAbsent, task.RemoveAbsent, task.RemoveClaimed, task.RemoveAbsent)
}

// largeRemovalOfSeveralBatches removes more than one call takes, of which one batch is in two calls.
func largeRemovalOfSeveralBatches(k *kit) {
	k.warm()
	const batches, size = 5, 450
	var held []task.Held
	for b := range batches {
		var some []task.Entry
		for i := range size {
			some = append(some, entry(fmt.Sprintf("%d-%d", b, i), int64(b)))
		}
		k.add(task.AddTaken, some...)
		token := fmt.Sprint("t", b)
		if got := k.claim(token, size); len(got.Claims) != size {
			k.Fatalf("claimed %d, want %d", len(got.Claims), size)
		}
		held = append(held, task.Held{Token: token, Refs: refs(some...)})
	}
	before := held[2].Refs[:100:100]
	k.must(k.RemoveHeld(k.Context(), k.p, held[1:]))
	s, err := k.State(k.Context(), k.p)
	if err != nil || s.Waiting != 0 || s.Claimed != size {
		k.Errorf("after RemoveHeld of %d batches State answered %+v, %v; want one batch of %d", batches-1, s, err, size)
	}
	if !slices.Equal(before, held[2].Refs[:100]) || len(held[2].Refs) != size {
		k.Error("RemoveHeld changed what it was handed")
	}
}
