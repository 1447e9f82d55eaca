package hotset_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// members lists partition p, sorted and without repeats.
func members(t *testing.T, s hotset.Set, p int) []task.Ref {
	t.Helper()
	var all []task.Ref
	for page, err := range s.(hotset.Lister).Members(t.Context(), p) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
	}
	slices.SortFunc(all, func(a, b task.Ref) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Ver, b.Ver)) })
	return slices.Compact(all)
}

// Members lists what waits and what is claimed, of one partition, and nothing that is not current.
func TestMembersAreListed(t *testing.T) {
	sets := map[string]func(*testing.T) hotset.Set{
		"miniredis": func(t *testing.T) hotset.Set { return open(t, client(t, miniredis.RunT(t).Addr()), 2) },
		"local": func(t *testing.T) hotset.Set {
			s, err := local.New(local.Options{Partitions: 2})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	}
	for _, kind := range []testserver.Kind{testserver.Redis, testserver.Valkey} {
		sets[string(kind)] = func(t *testing.T) hotset.Set { return open(t, client(t, testserver.Shared(t, kind).Addr), 2) }
	}
	for name, make := range sets {
		t.Run(name, func(t *testing.T) { listMembers(t, make(t)) })
	}
}

func listMembers(t *testing.T, s hotset.Set) {
	if got := members(t, s, 1); len(got) != 0 {
		t.Errorf("a cold partition has %d members", len(got))
	}
	f, err := s.Horizon(t.Context(), 1, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 42, Limit: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	var entries []task.Entry
	var want []task.Ref
	for i := range 3000 {
		e := task.Entry{Ref: task.Ref{ID: fmt.Sprintf("%05d\xc3\xa9", i), Ver: 1 + int64(i%3)<<40}, NextMS: 1, Payload: []byte("payload")}
		if entries = append(entries, e); i >= 10 {
			want = append(want, e.Ref)
		}
	}
	if _, err := s.Add(t.Context(), 1, task.AddRequest{AsOf: f.AsOf, Entries: entries}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim(t.Context(), 1, task.ClaimRequest{Token: "t", Limit: 500, Lease: time.Minute}); err != nil {
		t.Fatal(err)
	}
	gone := make([]task.Ref, 10)
	for i := range gone {
		gone[i] = entries[i].Ref
	}
	if _, err := s.Remove(t.Context(), 1, "", gone); err != nil {
		t.Fatal(err)
	}
	if got := members(t, s, 1); !slices.Equal(got, want) {
		t.Errorf("%d members, want %d: those that wait and those that are claimed", len(got), len(want))
	}
	if got := members(t, s, 0); len(got) != 0 {
		t.Errorf("another partition has %d members", len(got))
	}
	for range s.(hotset.Lister).Members(t.Context(), 1) {
		break // a caller may end it
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.(hotset.Lister).Members(ended, 1) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Members after the end of its context: %v", err)
		}
	}
	if err := s.Expect(task.Expected{Identity: "other", Generations: []int64{7, 7}}); err != nil {
		t.Fatal(err)
	}
	if got := members(t, s, 1); len(got) != 0 {
		t.Errorf("a partition whose generation is not current has %d members", len(got))
	}
}
