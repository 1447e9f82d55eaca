package hotsettest

import (
	"cmp"
	"slices"

	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook/task"
)

// The calls of Model that bring members in: the feeder's, and Add.

func (m *model) horizon(rt *rapid.T) {
	p := m.part(rt)
	f := task.HorizonRequest{Epoch: rapid.Int64Range(1, 4).Draw(rt, "epoch"), HorizonMS: p.time(rt, "horizon_ms"), Limit: rapid.IntRange(1, 9).Draw(rt, "limit")}
	got, err := m.Horizon(rt.Context(), p.n, f)
	at := m.sync(rt, p)
	switch {
	case p.gen == 0:
		m.begin(rt, p, f, got, err, at)
		return
	case f.Epoch < p.epoch:
		if !is(err, task.ErrAborted) {
			rt.Fatalf("Horizon of epoch %d after %d: %+v, %v, want ErrAborted", f.Epoch, p.epoch, got, err)
		}
		return
	case err != nil:
		rt.Fatalf("Horizon %+v: %v", f, err)
	}
	p.epoch = f.Epoch
	before := p.horizon
	if len(p.members) < f.Limit {
		p.horizon = max(p.horizon, f.HorizonMS)
	}
	if len(p.members) > f.Limit {
		m.retreat(rt, p, f, got)
	}
	if got.New || got.Retreated != (p.horizon < before) {
		rt.Fatalf("Horizon %+v answered %+v, the horizon was %d", f, got, before)
	}
	m.feeding(rt, p, got)
}

func (m *model) begin(rt *rapid.T, p *modelPart, f task.HorizonRequest, got task.PartitionStatus, err error, at span) {
	if err != nil || !got.New || got.Retreated || got.AsOf.Generation == 0 || got.ReadyMS < got.StartMS || !within(got.StartMS, span{at.lo / 1000, at.hi / 1000}) {
		rt.Fatalf("Horizon of a cold partition: %+v, %v; it is %v us", got, err, at)
	}
	if slices.ContainsFunc(p.moments[:len(p.moments)-1], func(a task.AsOf) bool { return a.Generation == got.AsOf.Generation }) {
		rt.Fatalf("generation %d began twice", got.AsOf.Generation)
	}
	p.gen, p.start = got.AsOf.Generation, span{got.StartMS * 1000, got.StartMS*1000 + 999}
	p.epoch, p.horizon, p.loaded = f.Epoch, f.HorizonMS, task.Cursor{}
	p.members, p.batches = map[task.Ref]*modelMember{}, map[string]*modelBatch{}
	m.feeding(rt, p, got)
}

// feeding compares what Horizon and Feed tell besides.
func (m *model) feeding(rt *rapid.T, p *modelPart, got task.PartitionStatus) {
	if got.AsOf.Generation != p.gen || got.HorizonMS != p.horizon || got.Loaded != p.loaded || got.Members != len(p.members) ||
		!within(got.StartMS*1000, span{p.start.lo - 999, p.start.hi}) {
		rt.Fatalf("the feeder was answered %+v, want horizon %d, loaded %+v, %d members", got, p.horizon, p.loaded, len(p.members))
	}
}

// retreat takes over how far the horizon fell, and which members were dropped.
func (m *model) retreat(rt *rapid.T, p *modelPart, f task.HorizonRequest, got task.PartitionStatus) {
	var waiting []*modelMember
	for _, x := range p.members {
		if x.token == "" {
			waiting = append(waiting, x)
		}
	}
	if keep := max(0, f.Limit-(len(p.members)-len(waiting))); keep < len(waiting) {
		rank := func(of func(span) int64) int64 {
			slices.SortFunc(waiting, func(a, b *modelMember) int { return cmp.Compare(of(a.offer), of(b.offer)) })
			return of(waiting[keep].offer)
		}
		to := span{min(p.horizon, rank(func(s span) int64 { return s.lo })), min(p.horizon, rank(func(s span) int64 { return s.hi }))}
		if !within(got.HorizonMS, to) {
			rt.Fatalf("the horizon retreated from %d to %d, want %v: %d of %d members may wait", p.horizon, got.HorizonMS, to, keep, len(waiting))
		}
		p.horizon = got.HorizonMS
		if p.loaded.NextMS >= p.horizon {
			p.loaded = task.Cursor{NextMS: p.horizon}
		}
	}
	left, stay := 0, 0
	for _, x := range waiting {
		found, err := m.Find(rt.Context(), p.n, []task.Ref{x.Ref})
		switch {
		case err != nil:
			rt.Fatalf("Find: %v", err)
		case found[0].Outcome == task.FindWaiting && (x.NextMS < p.horizon || x.Attempt > 0 || x.delayed()):
			stay++
		case found[0].Outcome == task.FindWaiting:
			left += int(one(x.offer.lo >= p.horizon))
		case x.NextMS < p.horizon || x.Attempt > 0 || x.delayed():
			rt.Fatalf("the retreat to %d dropped %+v", p.horizon, x.Entry)
		default:
			delete(p.members, x.Ref)
		}
	}
	if left > 0 && len(p.members)-stay > f.Limit {
		rt.Fatalf("the retreat to %d left %d members, %d of them beyond it; %d are allowed", p.horizon, len(p.members), left, f.Limit)
	}
}

// delayed reports whether x was given back for another time than that of its entry.
func (x *modelMember) delayed() bool { return !within(x.NextMS, x.offer) }

func (m *model) feed(rt *rapid.T) {
	p := m.part(rt)
	page := task.FeedRequest{AsOf: p.moment(rt), Epoch: rapid.Int64Range(1, max(1, p.epoch)).Draw(rt, "epoch")}
	page.Entries = p.entries(rt, page.AsOf, 0)
	page.Loaded = task.Cursor{NextMS: p.time(rt, "loaded_ms"), ID: rapid.SampledFrom([]string{"", "a", "b", "é"}).Draw(rt, "loaded id")}
	got, err := m.Feed(rt.Context(), p.n, page)
	at := m.sync(rt, p)
	allowed := p.stale(page.AsOf, at)
	if p.gen != 0 && (page.AsOf.Generation != p.gen || page.Epoch < p.epoch) {
		allowed = []error{task.ErrAborted}
		if page.AsOf.TimeUS < at.hi-ttl && page.AsOf.Generation == p.gen {
			allowed = append(allowed, task.ErrStale)
		}
	}
	if !is(err, allowed...) {
		rt.Fatalf("Feed of %+v at %v: %v, want one of %v", page, at, err, allowed)
	}
	if err != nil {
		return
	}
	taken := 0
	for _, e := range page.Entries {
		if slices.Contains(p.taking(e), task.AddTaken) {
			p.members[e.Ref] = &modelMember{Entry: e, offer: span{e.NextMS, e.NextMS}}
			taken++
		}
	}
	to := page.Loaded
	if to.NextMS > p.horizon {
		to = task.Cursor{NextMS: p.horizon}
	}
	if p.loaded.Less(to) || p.loaded.NextMS == to.NextMS && got.Loaded == to { // within a millisecond the feeder alone knows the order
		p.loaded = to
	}
	if got.Taken != taken {
		rt.Fatalf("Feed took %d of %+v, want %d", got.Taken, page.Entries, taken)
	}
	m.feeding(rt, p, got)
}

// taking tells what an entry may be answered that is not claimed by its caller.
func (p *modelPart) taking(e task.Entry) []task.AddOutcome {
	_, removed := p.removed[e.Ref]
	switch beyond, is := e.NextMS >= p.horizon, p.members[e.Ref] != nil; {
	case beyond && removed:
		return []task.AddOutcome{task.AddBeyond, task.AddDead}
	case removed:
		return []task.AddOutcome{task.AddDead}
	case beyond && is:
		return []task.AddOutcome{task.AddBeyond, task.AddPresent}
	case beyond:
		return []task.AddOutcome{task.AddBeyond}
	case is:
		return []task.AddOutcome{task.AddPresent}
	}
	return []task.AddOutcome{task.AddTaken}
}

func (m *model) add(rt *rapid.T) {
	p := m.part(rt)
	a := task.AddRequest{AsOf: p.moment(rt)}
	a.Entries = p.entries(rt, a.AsOf, 1)
	got, err := m.Add(rt.Context(), p.n, a)
	at := m.sync(rt, p)
	if allowed := p.stale(a.AsOf, at); !is(err, allowed...) {
		rt.Fatalf("Add of %+v at %v: %v, want one of %v", a, at, err, allowed)
	}
	if err != nil {
		return
	}
	answered(rt, "Add", len(a.Entries), got)
	for i, e := range a.Entries {
		allowed := p.taking(e)
		if !slices.Contains(allowed, got[i]) {
			rt.Fatalf("Add answered %d for %+v, want one of %d; the horizon is %d", got[i], e, allowed, p.horizon)
		}
		if got[i] == task.AddTaken {
			p.members[e.Ref] = &modelMember{Entry: e, offer: span{e.NextMS, e.NextMS}}
		}
	}
}

func answered[T any](rt *rapid.T, act string, n int, got []T) {
	if len(got) != n {
		rt.Fatalf("%s of %d members answered %d", act, n, len(got))
	}
}

func (m *model) register(rt *rapid.T) {
	p := m.part(rt)
	token := p.batchToken(rt)
	if token == "" || rapid.Bool().Draw(rt, "new batch") {
		token = m.newToken()
	}
	a := task.AddRequest{AsOf: p.moment(rt), Token: token, Lease: drawLease(rt)}
	a.Entries = p.entries(rt, a.AsOf, 1)
	for i := range a.Entries { // its holder may know more of it than the entry in the set has
		a.Entries[i].Attempt += rapid.IntRange(0, 1).Draw(rt, "more attempts")
	}
	got, err := m.Add(rt.Context(), p.n, a)
	at := m.sync(rt, p)
	if allowed := p.stale(a.AsOf, at); !is(err, allowed...) {
		rt.Fatalf("Add of %+v at %v: %v, want one of %v", a, at, err, allowed)
	}
	if err != nil {
		return
	}
	answered(rt, "Add with a token", len(a.Entries), got)
	for i, e := range a.Entries {
		x := p.members[e.Ref]
		want := task.AddClaimed
		if _, removed := p.removed[e.Ref]; removed {
			want = task.AddDead
		} else if x != nil && x.token != "" && x.token != token {
			want = task.AddElsewhere
		}
		if got[i] != want {
			rt.Fatalf("Add to batch %q answered %d for %+v, want %d", token, got[i], e, want)
		}
		if want == task.AddClaimed {
			if x == nil || x.token == "" {
				p.members[e.Ref] = &modelMember{Entry: e, token: token}
			}
			p.lease(token, at, a.Lease)
		}
	}
}
