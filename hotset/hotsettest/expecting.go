package hotsettest

import (
	"errors"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// expect tells the set that generation is current in the partition under test.
func (k *kit) expect(identity string, generation int64) {
	k.Helper()
	e := task.Expected{Identity: identity, Generations: make([]int64, k.Config().Partitions)}
	e.Generations[k.p] = generation
	k.must(k.Expect(e))
}

// begin begins a generation of that number, where the partition is cold.
func (k *kit) begin(generation int64) task.PartitionStatus {
	k.Helper()
	f, err := k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: far, Limit: 1000, Generation: generation})
	k.must(err)
	if !f.New || f.AsOf.Generation != generation {
		k.Fatalf("Horizon began %+v, want generation %d", f, generation)
	}
	return f
}

func looksFirst(k *kit) {
	f, err := k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: far, Limit: 10, Look: true})
	if !errors.Is(err, task.ErrCold) || f.AsOf.Generation != 0 {
		k.Errorf("Horizon that only looks answered %+v, %v; want ErrCold", f, err)
	}
	st, err := k.State(k.Context(), k.p)
	if err != nil || st.AsOf.Generation != 0 || st.Server != f.Server {
		k.Errorf("State after it is %+v, %v; want it cold, on server %q", st, err, f.Server)
	}
	if _, err := k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: far, Limit: 10, Generation: 7, Server: "another"}); !errors.Is(err, task.ErrCold) {
		k.Errorf("Horizon for another server answered %v, want ErrCold", err)
	}
	f, err = k.Horizon(k.Context(), k.p, task.HorizonRequest{Epoch: 1, HorizonMS: far, Limit: 10, Generation: 7, Server: f.Server})
	if err != nil || !f.New || f.AsOf.Generation != 7 || f.Server != st.Server {
		k.Errorf("Horizon for this server answered %+v, %v; want generation 7", f, err)
	}
}

// oneGenerationIsCurrent: nothing is read from, nor written to, a generation that is not current.
func oneGenerationIsCurrent(k *kit) {
	k.expect("A1", 11)
	k.begin(11)
	k.add(task.AddTaken, entry("a", 1), entry("b", 1))
	before := k.now()
	b, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Minute})
	k.must(err)
	k.expect("A1", 12)
	refs := []task.Ref{entry("a", 1).Ref, entry("b", 1).Ref}
	for name, call := range map[string]func() error{
		"Clock": func() error { _, err := k.Clock(k.Context(), k.p); return err },
		"Feed":  func() error { _, err := k.Feed(k.Context(), k.p, task.FeedRequest{AsOf: before, Epoch: 1}); return err },
		"Add": func() error {
			_, err := k.Add(k.Context(), k.p, task.AddRequest{AsOf: before, Entries: []task.Entry{entry("c", 1)}})
			return err
		},
		"register": func() error {
			_, err := k.Add(k.Context(), k.p, task.AddRequest{AsOf: before, Entries: []task.Entry{entry("a", 1)}, Token: "u", Lease: time.Minute})
			return err
		},
		"Remove": func() error { _, err := k.Remove(k.Context(), k.p, "", refs); return err },
		"settle": func() error { _, err := k.Remove(k.Context(), k.p, "t", refs[:1]); return err },
		"Claim": func() error {
			_, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: "u", Limit: 1, Lease: time.Minute})
			return err
		},
		"repeat": func() error {
			_, err := k.Claim(k.Context(), k.p, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Minute})
			return err
		},
		"Extend": func() error {
			_, err := k.Extend(k.Context(), k.p, task.ExtendRequest{Generation: 11, Tokens: []string{"t"}, Lease: time.Minute})
			return err
		},
		"Waiting": func() error { _, err := k.Waiting(k.Context(), k.p, far); return err },
		"Release": func() error {
			_, err := k.Release(k.Context(), k.p, task.ReleaseRequest{Token: "t", Refs: []task.Ref{b.Claims[0].Ref}})
			return err
		},
	} {
		if err := call(); !errors.Is(err, task.ErrOther) || !errors.Is(err, task.ErrCold) {
			k.Errorf("%s where another generation is current answered %v, want ErrOther", name, err)
		}
	}
	st, err := k.State(k.Context(), k.p)
	if err != nil || st.AsOf.Generation != 0 || !st.Other || st.Waiting != 0 {
		k.Errorf("State where another generation is current is %+v, %v; want it cold", st, err)
	}
	if found, err := k.Find(k.Context(), k.p, refs); err != nil || found[0].Outcome != task.FindAbsent || found[1].Outcome != task.FindAbsent {
		k.Errorf("Find where another generation is current answered %+v, %v; want nothing", found, err)
	}
	k.expect("A1", 11) // all is as it was
	st, err = k.State(k.Context(), k.p)
	if err != nil || st.AsOf.Generation != 11 || st.Waiting != 1 || st.Claimed != 1 || st.Other {
		k.Errorf("State once the generation is current again is %+v, %v; want 1 that waits and 1 claimed", st, err)
	}
}

// anotherGenerationBegins: where one counts that is not there, Horizon begins it, empty; and a
// feeder that is older than the one that began it does not take it away.
func anotherGenerationBegins(k *kit) {
	k.expect("A1", 11)
	k.begin(11)
	k.add(task.AddTaken, entry("a", 1))
	old := k.now()
	k.expect("A1", 12)
	wish := task.HorizonRequest{Epoch: 5, HorizonMS: far, Limit: 1000, Generation: 12}
	f, err := k.Horizon(k.Context(), k.p, wish)
	if err != nil || !f.New || f.AsOf.Generation != 12 || f.Members != 0 {
		k.Fatalf("Horizon began %+v, %v; want generation 12, empty", f, err)
	}
	if _, err := k.Add(k.Context(), k.p, task.AddRequest{AsOf: old, Entries: []task.Entry{entry("a", 1)}}); !errors.Is(err, task.ErrStale) {
		k.Errorf("Add with knowledge of the generation before answered %v, want ErrStale", err)
	}
	k.expect("A1", 13)
	wish.Epoch, wish.Generation = 4, 13
	if _, err := k.Horizon(k.Context(), k.p, wish); !errors.Is(err, task.ErrAborted) {
		k.Errorf("Horizon of an older feeder answered %v, want ErrAborted", err)
	}
}

func identityIsKept(k *kit) {
	if err := k.Expect(task.Expected{Identity: "A1", Generations: make([]int64, k.Config().Partitions+1)}); !errors.Is(err, task.ErrInvalid) {
		k.Errorf("Expect for another number of partitions answered %v, want ErrInvalid", err)
	}
	for _, id := range []string{"", "a b", "{x}", "é", "a\n"} {
		if err := k.Expect(task.Expected{Identity: id, Generations: make([]int64, k.Config().Partitions)}); !errors.Is(err, task.ErrInvalid) {
			k.Errorf("Expect of the identity %q answered %v, want ErrInvalid", id, err)
		}
	}
	k.expect("A1", 1)
	err := k.Expect(task.Expected{Identity: "B2", Generations: make([]int64, k.Config().Partitions)})
	if !errors.Is(err, task.ErrMismatch) || !strings.Contains(err.Error(), "A1") || !strings.Contains(err.Error(), "B2") {
		k.Errorf("Expect of a second identity answered %v, want ErrMismatch that names both", err)
	}
}
