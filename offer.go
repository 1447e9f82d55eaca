package triggerhook

import (
	"context"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// hotFlights is how many grouped calls of a kind a partition has under way: a
	// second one arrives while the first one's answer is on its way back.
	hotFlights = 2
	// hotCall is the most members of one grouped call to the hot set.
	hotCall = 1000
)

// offer is what one Create has committed for one partition.
type offer struct {
	asOf task.AsOf // seen before the rows were inserted
	rows []task.Row
}

// offers gathers what concurrent calls have committed for one partition into few
// calls to the hot set: the cost of a script is mostly its own, not its members'.
//
// Rule 3 holds for a group as it does for its offers: the group is added as of the
// oldest moment that one of them saw, before any of the rows was inserted. Offers
// that saw different generations do not share a call.
type offers = coalesce.Group[offer, struct{}]

func (s *Scheduler) newOffers(p int) *offers {
	return &offers{Parallel: hotFlights, MaxWeight: hotCall,
		Weigh: func(o offer) int { return len(o.rows) },
		Flush: func(all []offer) []coalesce.Result[struct{}] { return s.offerAll(p, all) }}
}

// offerAll adds a group and answers for each offer. What fails is reported here,
// once, and its callers have it added later.
func (s *Scheduler) offerAll(p int, all []offer) []coalesce.Result[struct{}] {
	ctx, cancel := context.WithTimeout(context.Background(), hotWait)
	defer cancel()
	byGeneration, n := map[int64]offer{}, 0
	for _, o := range all {
		n += len(o.rows)
	}
	for _, o := range all {
		g, ok := byGeneration[o.asOf.Generation]
		if !ok {
			g = offer{asOf: o.asOf, rows: make([]task.Row, 0, n)} // all of them, nearly always
		}
		if o.asOf.TimeUS < g.asOf.TimeUS {
			g.asOf = o.asOf
		}
		g.rows = append(g.rows, o.rows...)
		byGeneration[o.asOf.Generation] = g
	}
	failed := map[int64]error{}
	for generation, g := range byGeneration {
		n, err := s.add(ctx, p, g.asOf, g.rows)
		s.counts.preloaded.Add(uint64(n))
		if err != nil {
			failed[generation] = err
			s.hotFailed("add created tasks", p, err)
		}
	}
	res := make([]coalesce.Result[struct{}], len(all))
	for i, o := range all {
		res[i].Err = failed[o.asOf.Generation]
	}
	return res
}
