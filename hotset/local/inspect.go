package local

import (
	"cmp"
	"maps"
	"slices"

	"github.com/triggerhook/triggerhook/internal/inspect"
)

func init() {
	inspect.Local = func(set any, p int) inspect.Partition { return set.(*Set).inspect(p) }
}

// inspect returns what partition p holds, for the tests of this module. It changes nothing.
func (s *Set) inspect(p int) inspect.Partition {
	part := s.parts[p]
	part.mu.Lock()
	defer part.mu.Unlock()
	part.tick()
	all := inspect.Partition{Generation: part.generation, HorizonMS: part.horizon, Loaded: part.loaded}
	for _, it := range part.due.items {
		all.Waiting = append(all.Waiting, it.inspect())
	}
	slices.SortFunc(all.Waiting, func(a, b inspect.Member) int { return cmp.Or(cmp.Compare(a.AtMS, b.AtMS), cmp.Compare(a.ID, b.ID)) })
	for _, b := range part.batches {
		members := make([]inspect.Member, 0, len(b.members))
		for _, it := range b.members {
			members = append(members, it.inspect())
		}
		all.Batches = append(all.Batches, inspect.Batch{Token: b.token, Ends: b.ends, Members: members})
	}
	for k := range part.gone {
		all.Tombstones = slices.AppendSeq(all.Tombstones, maps.Keys(part.gone[k]))
		all.Marks = slices.AppendSeq(all.Marks, maps.Keys(part.marks[k]))
	}
	slices.Sort(all.Marks)
	all.Marks = slices.Compact(all.Marks)
	return all
}

func (it *item) inspect() inspect.Member {
	return inspect.Member{Ref: it.Ref, AtMS: it.score, Attempt: it.Attempt}
}
