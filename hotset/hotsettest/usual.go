package hotsettest

import (
	"fmt"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// usual returns what most tasks look like, whose form in a Set may be its own: the id is a UUID, and it is due now, for the first
// time, with a payload and nothing more.
func (k *kit) usual(payload string) task.Entry {
	e := entry(aUUID, k.now().TimeUS/1000)
	e.Payload = []byte(payload)
	return e
}

// usualTasks: all that a member may go through changes neither its id nor its times nor its payload, and attempts count.
func usualTasks(k *kit) {
	f := k.warm()
	e := k.usual("1:2:3:i:\n\x00")
	k.add(task.AddTaken, e)
	for attempt := range 3 {
		k.attempted(e, attempt, task.FindWaiting)
		if b := k.claim(fmt.Sprint("t", attempt), 10); len(b.Claims) != 1 || !same(b.Claims[0], e, attempt) {
			k.Fatalf("claimed %+v, want %+v with %d attempts", b.Claims, e, attempt)
		}
		k.attempted(e, attempt, task.FindClaimed)
		if attempt == 1 {
			if b := k.claim("t1", 10); len(b.Claims) != 1 || b.Claims[0].Attempt != attempt || b.Claims[0].NextMS != e.NextMS || b.Claims[0].DueMS != e.DueMS {
				k.Errorf("the batch came again as %+v, want %+v with %d attempts", b.Claims, e, attempt)
			}
		}
		got, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: fmt.Sprint("t", attempt), Refs: refs(e), Counted: true, AtNext: true})
		k.must(err)
		each(k, "Release", got, 1, task.ReleaseWaiting)
	}
	x, err := k.Extend(k.Context(), k.p, task.ExtendRequest{Generation: f.AsOf.Generation, Lease: time.Minute, Refs: refs(e)})
	if k.must(err); len(x.Gone) > 0 {
		k.Errorf("Extend calls %v gone", x.Gone)
	}
	k.removed("Remove", refs(e), task.RemoveWaiting)
	k.add(task.AddDead, e)
}

// attempted expects that e is found there, with that many attempts.
func (k *kit) attempted(e task.Entry, attempt int, want task.FindOutcome) {
	k.Helper()
	got, err := k.Find(k.Context(), k.p, refs(e))
	if k.must(err); len(got) != 1 || got[0].Outcome != want || got[0].Attempt != attempt {
		k.Errorf("Find answered %+v, want outcome %v with %d attempts", got, want, attempt)
	}
}

func same(c task.Claim, e task.Entry, attempt int) bool {
	return c.Ref == e.Ref && c.NextMS == e.NextMS && c.DueMS == e.DueMS && c.Attempt == attempt && !c.External && slices.Equal(c.Payload, e.Payload)
}
