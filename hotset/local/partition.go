package local

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

const chunk = 1000 // most members of one claim, and dropped by one retreat

// partition is what the Redis scripts keep in the keys of a partition, under the same rules (docs/design.md and
// hotset/lua). A waiting member is in due, a claimed one in a batch.
type partition struct {
	mu     sync.Mutex
	wake   func()
	server string
	clock  func() time.Time
	round  time.Duration // what is added to a delay, because a part of a millisecond counts as one
	now    time.Time     // of the call that holds mu

	other      bool  // for that call: the generation is not the current one
	generation int64 // 0: cold
	began      int   // how many generations have begun
	start      time.Time
	horizon    int64
	loaded     task.Cursor
	epoch      int64
	counted    time.Time // up to then members were claimed, at one each Interval
	period     int64     // of T, in which gone[period%3] is written

	members map[task.Ref]*item
	due     heap
	batches map[string]*batch
	gone    [3]map[task.Ref]struct{}
	marks   [3]map[string]struct{} // ids of tasks that had a version removed while another caller had claimed it
}

type item struct {
	task.Entry
	score int64
	index int // in due, -1 if claimed
	batch *batch
}

type batch struct {
	token   string
	ends    time.Time
	members map[task.Ref]*item
}

// tick reads the clock, which never steps back, and drops old tombstones.
func (p *partition) tick() {
	if now := p.clock(); now.After(p.now) {
		p.now = now
	}
	period := p.now.UnixNano() / int64(task.TombstoneTTL)
	for k := max(p.period+1, period-2); k <= period; k++ {
		p.gone[k%3], p.marks[k%3] = nil, nil
	}
	p.period = max(p.period, period)
}

func (p *partition) asOf() task.AsOf {
	return task.AsOf{Generation: p.generation, TimeUS: p.now.UnixMicro()}
}

// checkAsOf refuses an AsOf that is older than the tombstones reach back, or of another generation (AsOfBeforeRead).
func (p *partition) checkAsOf(a task.AsOf) error {
	switch {
	case p.generation == 0:
		return task.ErrCold
	case a.Generation != p.generation || a.TimeUS < p.now.Add(-task.TombstoneTTL).UnixMicro():
		return task.ErrStale
	}
	return nil
}

func (p *partition) hasTombstone(r task.Ref) bool {
	for _, g := range p.gone {
		if _, is := g[r]; is {
			return true
		}
	}
	return false
}

func (p *partition) state() task.State {
	if p.other {
		s := task.State{AsOf: p.asOf(), StartMS: p.now.UnixMilli()}
		s.AsOf.Generation = 0
		return s
	}
	s := task.State{AsOf: p.asOf(), HorizonMS: p.horizon, Loaded: p.loaded, Waiting: int64(p.due.len())}
	s.Claimed = int64(len(p.members)) - s.Waiting
	s.OldestMS = p.next()
	s.Due = p.due.countUpTo(p.now.UnixMilli())
	if p.began > 1 {
		s.StartMS = p.start.UnixMilli()
	}
	return s
}

func (p *partition) next() int64 {
	if p.due.len() == 0 {
		return 0
	}
	return p.due.items[0].score
}

func (p *partition) status() task.PartitionStatus {
	s := task.PartitionStatus{AsOf: p.asOf(), StartMS: p.start.UnixMilli(), ReadyMS: p.start.UnixMilli(), HorizonMS: p.horizon,
		Loaded: p.loaded, Members: len(p.members)}
	if p.began > 1 { // this process may hold tasks of an earlier one
		s.ReadyMS += task.RegisterWait.Milliseconds()
	}
	return s
}

// begin begins a generation, empty.
func (p *partition) begin(f task.HorizonRequest) {
	if p.generation = f.Generation; p.generation == 0 {
		p.generation = hotset.NewGeneration()
	}
	p.other, p.start, p.horizon, p.epoch, p.loaded = false, p.now, f.HorizonMS, f.Epoch, task.Cursor{}
	p.members, p.batches, p.due, p.counted = map[task.Ref]*item{}, map[string]*batch{}, heap{}, time.Time{}
	p.gone, p.marks = [3]map[task.Ref]struct{}{}, [3]map[string]struct{}{}
	p.began++
}

func (p *partition) raise(f task.HorizonRequest) (task.PartitionStatus, error) {
	if p.generation != 0 && f.Epoch < p.epoch {
		return task.PartitionStatus{}, task.ErrAborted
	}
	if p.generation == 0 || p.other {
		if f.Look || f.Server != "" && f.Server != p.server {
			return task.PartitionStatus{AsOf: task.AsOf{TimeUS: p.now.UnixMicro()}}, task.ErrCold
		}
		p.begin(f)
		s := p.status()
		s.New = true
		return s, nil
	}
	p.epoch = f.Epoch
	if len(p.members) < f.Limit {
		p.horizon = max(p.horizon, f.HorizonMS)
	}
	if len(p.members) <= f.Limit {
		return p.status(), nil
	}
	before := p.horizon
	p.retreat(f.Limit)
	s := p.status()
	s.Retreated = p.horizon < before
	return s, nil
}

// retreat lowers the horizon to the time of the first member that is too many. It drops the members that
// wait beyond the horizon and whose rows are due there. A member with attempts or a delay stays, because its row may know
// neither.
func (p *partition) retreat(limit int) {
	sorted := slices.Clone(p.due.items)
	slices.SortFunc(sorted, func(a, b *item) int { return cmp.Compare(a.score, b.score) })
	keep := max(0, limit-(len(p.members)-len(sorted)))
	if keep >= len(sorted) {
		return
	}
	p.horizon = min(p.horizon, sorted[keep].score)
	if p.loaded.NextMS >= p.horizon {
		p.loaded = task.Cursor{NextMS: p.horizon}
	}
	for _, it := range sorted[keep:] {
		if it.NextMS >= p.horizon && it.Attempt == 0 && it.score == it.NextMS {
			p.due.remove(it)
			delete(p.members, it.Ref)
		}
	}
}

func (p *partition) feed(page task.FeedRequest) (task.PartitionStatus, error) {
	switch {
	case p.generation == 0:
		return task.PartitionStatus{}, task.ErrCold
	case page.AsOf.Generation != p.generation || page.Epoch < p.epoch:
		return task.PartitionStatus{}, task.ErrAborted
	}
	if err := p.checkAsOf(page.AsOf); err != nil {
		return task.PartitionStatus{}, err
	}
	taken := 0
	for _, a := range p.add(page.Entries) {
		if a == task.AddTaken {
			taken++
		}
	}
	to := page.Loaded
	if to.NextMS > p.horizon {
		to = task.Cursor{NextMS: p.horizon}
	}
	if to.NextMS >= p.loaded.NextMS {
		p.loaded = to
	}
	s := p.status()
	s.Taken = taken
	return s, nil
}

func (p *partition) add(entries []task.Entry) []task.AddOutcome {
	outcomes := make([]task.AddOutcome, len(entries))
	for i, e := range entries {
		switch {
		case p.hasTombstone(e.Ref):
			outcomes[i] = task.AddDead
		case e.NextMS >= p.horizon:
			outcomes[i] = task.AddBeyond
		case p.members[e.Ref] != nil:
			outcomes[i] = task.AddPresent
		default:
			outcomes[i] = task.AddTaken
			it := &item{Entry: copyEntry(e)}
			p.members[e.Ref] = it
			p.wait(it, e.NextMS)
		}
	}
	return outcomes
}

// wait puts a member that is in no batch among those that wait.
func (p *partition) wait(it *item, at int64) {
	before := p.next()
	waiting := p.due.len() > 0
	it.score = at
	p.due.push(it)
	if !waiting || at < before {
		p.wake()
	}
}

func (p *partition) register(a task.AddRequest) []task.AddOutcome {
	outcomes := make([]task.AddOutcome, len(a.Entries))
	b := p.batches[a.Token]
	if b == nil {
		b = &batch{token: a.Token, members: map[task.Ref]*item{}}
	}
	for i, e := range a.Entries {
		it := p.members[e.Ref]
		switch {
		case p.hasTombstone(e.Ref):
			outcomes[i] = task.AddDead
			continue
		case it != nil && it.batch != nil && it.batch != b:
			outcomes[i] = task.AddElsewhere
			continue
		case it == nil:
			it = &item{Entry: copyEntry(e), index: -1}
			p.members[e.Ref] = it
		case it.batch == nil:
			p.due.remove(it)
			it.Entry = copyEntry(e) // its holder may know rollbacks that the row does not have
		}
		outcomes[i] = task.AddClaimed
		it.batch, b.members[e.Ref] = b, it
	}
	if len(b.members) > 0 {
		b.ends = p.now.Add(a.Lease)
		p.batches[a.Token] = b
	}
	return outcomes
}

func (p *partition) remove(token string, refs []task.Ref) (outcomes []task.RemoveOutcome, othersClaimed []task.Ref) {
	outcomes = make([]task.RemoveOutcome, len(refs))
	if p.generation == 0 {
		return outcomes, nil
	}
	k := p.period % 3
	if p.gone[k] == nil {
		p.gone[k], p.marks[k] = map[task.Ref]struct{}{}, map[string]struct{}{}
	}
	for i, ref := range refs {
		p.gone[k][ref] = struct{}{}
		it := p.members[ref]
		if it == nil {
			continue
		}
		delete(p.members, ref)
		if it.batch == nil {
			outcomes[i] = task.RemoveWaiting
			p.due.remove(it)
			continue
		}
		if it.batch.token != token {
			p.marks[k][ref.ID] = struct{}{}
			othersClaimed = append(othersClaimed, ref)
		}
		p.leave(it)
	}
	for i, ref := range refs {
		if p.marked(ref.ID) {
			outcomes[i] = task.RemoveClaimed
			p.marks[k][ref.ID] = struct{}{}
		} else if token != "" {
			outcomes[i] = task.RemoveClaimed
		}
	}
	return outcomes, othersClaimed
}

func (p *partition) marked(id string) bool {
	for _, m := range p.marks {
		if _, is := m[id]; is {
			return true
		}
	}
	return false
}

// leave takes a member out of its batch. A batch without members ends, and its lease with it.
func (p *partition) leave(it *item) {
	b := it.batch
	it.batch = nil
	delete(b.members, it.Ref)
	if len(b.members) == 0 {
		delete(p.batches, b.token)
	}
}

func (p *partition) claim(c task.ClaimRequest, pause task.Pause) (task.Batch, error) {
	if p.generation == 0 {
		return task.Batch{}, task.ErrCold
	}
	if c.Ahead > task.MaxAhead {
		return task.Batch{}, fmt.Errorf("%w: claim %s ahead, at most %s are allowed", task.ErrInvalid, c.Ahead, task.MaxAhead)
	}
	out := task.Batch{AsOf: p.asOf(), Token: c.Token, LoadedMS: p.loaded.NextMS, Pause: pause}
	b := p.batches[c.Token]
	if out.Repeated = b != nil; b == nil {
		b = &batch{token: c.Token, members: map[task.Ref]*item{}}
		p.take(b, c, &out)
	}
	out.NextMS = p.next()
	if len(b.members) == 0 {
		return out, nil
	}
	b.ends = p.now.Add(c.Lease)
	p.batches[c.Token] = b
	for _, it := range b.members {
		claim := task.Claim{Entry: copyEntry(it.Entry)}
		if !out.Repeated && it.score > p.now.UnixMilli() {
			claim.OfferMS = it.score
		}
		out.Claims = append(out.Claims, claim)
	}
	slices.SortFunc(out.Claims, func(a, c task.Claim) int { return cmp.Or(cmp.Compare(a.NextMS, c.NextMS), cmp.Compare(a.ID, c.ID)) })
	return out, nil
}

func (p *partition) extend(h task.ExtendRequest) (task.ExtendResult, error) {
	switch p.generation {
	case 0:
		return task.ExtendResult{}, task.ErrCold
	case h.Generation:
	default:
		return task.ExtendResult{}, task.ErrAborted
	}
	e := task.ExtendResult{AsOf: p.asOf()}
	for _, t := range h.Tokens {
		if b := p.batches[t]; b != nil {
			b.ends = p.now.Add(h.Lease)
		} else {
			e.Lost = append(e.Lost, t)
		}
	}
	for _, r := range h.Refs {
		if p.members[r] == nil {
			e.Gone = append(e.Gone, r)
		}
	}
	return e, nil
}

func (p *partition) release(r task.ReleaseRequest) ([]task.ReleaseOutcome, error) {
	if p.generation == 0 {
		return nil, task.ErrCold
	}
	b := p.batches[r.Token]
	leased := false // the lease of b is not over
	if r.Expired {
		if err := p.checkAsOf(r.AsOf); err != nil {
			return nil, err
		}
		leased = b != nil && b.ends.After(p.now)
	}
	outcomes := make([]task.ReleaseOutcome, len(r.Refs))
	for i, ref := range r.Refs {
		if outcomes[i] = task.ReleaseLeased; !leased {
			outcomes[i] = p.giveBack(b, ref, r)
		}
	}
	return outcomes, nil
}

func (p *partition) giveBack(b *batch, ref task.Ref, r task.ReleaseRequest) task.ReleaseOutcome {
	it := p.members[ref]
	switch {
	case p.hasTombstone(ref):
		return task.ReleaseDead
	case it == nil:
		return task.ReleaseAbsent
	case b == nil || it.batch != b:
		return task.ReleaseElsewhere
	}
	at := max(it.NextMS, r.NotBeforeMS)
	if !r.AtNext {
		at = p.now.UnixMilli()
		if r.Delay > 0 {
			at = p.now.Add(r.Delay + p.round).UnixMilli()
		}
		if r.Delay > 0 && at >= p.horizon {
			return task.ReleaseBeyond
		}
	}
	if r.Counted {
		it.Attempt++
	}
	p.leave(it)
	p.wait(it, at)
	return task.ReleaseWaiting
}

func (p *partition) find(ref task.Ref) task.FindResult {
	it := p.members[ref]
	switch {
	case it == nil:
		return task.FindResult{}
	case it.batch != nil:
		return task.FindResult{Outcome: task.FindClaimed, Attempt: it.Attempt}
	}
	return task.FindResult{Outcome: task.FindWaiting, NextMS: it.score, Attempt: it.Attempt}
}

func (p *partition) expired(limit int, lease time.Duration) []task.ExpiredBatch {
	var all []task.ExpiredBatch
	if p.generation == 0 || p.now.Before(p.start.Add(lease)) {
		return nil
	}
	for _, b := range p.batches {
		if len(all) == limit {
			break
		}
		if b.ends.After(p.now) {
			continue
		}
		r := task.ExpiredBatch{Token: b.token}
		for ref := range b.members {
			r.Refs = append(r.Refs, ref)
		}
		all = append(all, r)
	}
	return all
}
