package consumer

import (
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// releasesAtAll is how many groups of releases a partition has under way: a second one arrives while the answer to the first is on
// its way back.
const releasesAtAll = 2

// Releases that share a call. In a burst that fails, many members of few batches go back at the same time, and a call costs more
// than its members. Releases of one batch that are alike share a call; the calls of one group are made at the same time, so that
// one batch does not wait for another.
//
// Each caller has the outcome of its own member. After an error each of them tries again by itself, as if it had been alone. The
// delay of a member counts from the call, which comes no earlier than without a group.
type (
	// releasing is a release that shares a call.
	releasing struct {
		ref  task.Ref
		call sharedRelease
	}
	// sharedRelease is what releases of one call have in common.
	sharedRelease struct {
		token   string
		delay   time.Duration
		counted bool
	}
	releaseGroup = coalesce.Group[releasing, task.ReleaseOutcome]
)

func (s *settler) newReleases(p int) *releaseGroup {
	return &releaseGroup{Parallel: releasesAtAll, Flush: func(all []releasing) []coalesce.Result[task.ReleaseOutcome] { return s.releaseAll(p, all) }}
}

// releaseAll makes the calls of a group, and answers for each release.
func (s *settler) releaseAll(p int, all []releasing) []coalesce.Result[task.ReleaseOutcome] {
	alike := map[sharedRelease][]int{}
	for i, r := range all {
		alike[r.call] = append(alike[r.call], i)
	}
	results := make([]coalesce.Result[task.ReleaseOutcome], len(all))
	var calls sync.WaitGroup
	for shared, at := range alike {
		refs := make([]task.Ref, len(at))
		for i, j := range at {
			refs[i] = all[j].ref
		}
		one := func() {
			outcomes, err := s.releaseOf(p, shared, refs)
			for i, j := range at {
				if results[j].Err = err; err == nil {
					results[j].Value = outcomes[i]
				}
			}
		}
		if len(alike) == 1 {
			one()
		} else {
			calls.Go(one)
		}
	}
	calls.Wait()
	return results
}

// releaseOf releases refs, all of one batch, in one call.
func (s *settler) releaseOf(p int, shared sharedRelease, refs []task.Ref) ([]task.ReleaseOutcome, error) {
	ctx, cancel := s.call(hotTimeout)
	defer cancel()
	failpoint.Hit("rollback/release")
	return s.c.set.Release(ctx, p, task.ReleaseRequest{Token: shared.token, Refs: refs, Delay: shared.delay, Counted: shared.counted})
}
