package hotsettest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// World is a Set for one sequence of Model: empty, cold, in a namespace of its own.
type World struct {
	hotset.Set
	// Pass lets at least d go by on the set's clock.
	Pass func(d time.Duration)
	// Turned tells that Pass costs nothing, because the test turns that clock: then d may
	// be a minute.
	Turned bool
	// Lose makes partition p lose all it holds, or if all is false the key alone
	// that names its generation. Nil: this set cannot lose anything.
	Lose func(p int, all bool)
}

// Model runs one random sequence of calls on w and compares each answer, and the
// state after each, with a model that is made from the contract alone: maps of the
// members that wait, that are in each batch, and that were removed.
//
//	rapid.Check(t, func(rt *rapid.T) { hotsettest.Model(rt, hotsettest.World{Set: open(), Pass: wait}) })
//
// Where the contract leaves an answer open the model takes what was answered: a
// time lies between two readings of the clock; which of two members of one
// millisecond is claimed; whether a batch still names a member that was removed.
//
// How many sequences a test runs is rapid's to say: RAPID_CHECKS, 100 by default.
func Model(rt *rapid.T, w World) {
	m := &model{World: w, terms: map[task.Role]*modelTerm{}}
	for p := range w.Config().Partitions {
		m.parts = append(m.parts, &modelPart{n: p, removed: map[task.Ref]removal{}, marked: map[string]int64{}})
	}
	actions := map[string]func(*rapid.T){
		"": m.compare, "horizon": m.horizon, "feed": m.feed, "add": m.add, "register": m.register, "claim": m.claim,
		"claim again": m.claimAgain, "extend": m.extend, "release": m.release, "remove": m.remove, "find": m.find,
		"expired": m.expired, "elect": m.elect, "pass": m.pass,
		"add more": m.add, "claim more": m.claim, "release more": m.release, // what the others need to have happened
	}
	if !rapid.Bool().Draw(rt, "begin cold") {
		for _, p := range m.parts {
			m.warm(rt, p)
		}
	}
	if w.Lose != nil {
		actions["lose"] = m.lose
	}
	rt.Repeat(actions)
}

type model struct {
	World
	parts []*modelPart
	terms map[task.Role]*modelTerm
	token int
}

// span is a time that is known to lie within two.
type span struct{ lo, hi int64 }

func (s span) plus(d int64) span { return span{s.lo + d, s.hi + d} }

// modelPart is what a partition is to hold.
type modelPart struct {
	n       int
	now     int64      // us: what its clock said last
	state   task.State // said then
	gen     int64      // 0: cold
	start   span       // us
	epoch   int64
	horizon int64
	loaded  task.Cursor
	members map[task.Ref]*modelMember
	batches map[string]*modelBatch

	known   []task.Entry // all that were ever drawn
	removed map[task.Ref]removal
	marked  map[string]int64 // ids of which a version was claimed as another than its holder removed it; us, as old as its mark is
	moments []task.AsOf      // of this generation and of older ones
}

// modelMember waits if its token is "".
type modelMember struct {
	task.Entry
	offer span // ms, of one that waits
	token string
}

// modelBatch is a batch that has members, or may have: ghosts were removed without
// their batch being named, and it may name them still.
type modelBatch struct {
	ends   span // us
	ghosts map[task.Ref]bool
}

// removal is when a member was removed, us: a row is gone from the first on, and
// the tombstone is as old as the last. Gen is the generation of the first.
type removal struct{ first, last, gen int64 }

const ttl = int64(task.TombstoneTTL / time.Microsecond)

// slew is by how much the machine's own adjustments may turn a server's clock back
// while a test runs, us: Valkey's fell by 231. The contract allows less than ttl.
const slew = 10_000

// sync reads the partition's clock and state after a call, and returns between
// which times that was.
func (m *model) sync(rt *rapid.T, p *modelPart) span {
	s, err := m.State(rt.Context(), p.n)
	if err != nil {
		rt.Fatalf("State: %v", err)
	}
	if s.AsOf.TimeUS <= p.now-slew {
		rt.Fatalf("the clock fell from %d to %d us", p.now, s.AsOf.TimeUS)
	}
	at := span{p.now, max(p.now, s.AsOf.TimeUS)}
	p.now, p.state = at.hi, s
	if s.AsOf.Generation != 0 {
		p.moments = append(p.moments, s.AsOf)
	}
	return at
}

// part draws a partition, and reads its clock if no call has done so before.
func (m *model) part(rt *rapid.T) *modelPart {
	p := m.parts[rapid.IntRange(0, len(m.parts)-1).Draw(rt, "partition")]
	if p.now == 0 {
		m.sync(rt, p)
	}
	return p
}

// compare compares what the partitions said last.
func (m *model) compare(rt *rapid.T) {
	for _, p := range m.parts {
		if p.now == 0 {
			continue
		}
		waiting, due, oldest := 0, span{}, span{}
		for _, x := range p.members {
			if x.token != "" {
				continue
			}
			if waiting++; waiting == 1 {
				oldest = x.offer
			}
			oldest = span{min(oldest.lo, x.offer.lo), min(oldest.hi, x.offer.hi)}
			due.lo, due.hi = due.lo+one(x.offer.hi <= p.state.AsOf.TimeUS/1000), due.hi+one(x.offer.lo <= p.now/1000)
		}
		want := task.State{AsOf: task.AsOf{Generation: p.gen, TimeUS: p.state.AsOf.TimeUS}, HorizonMS: p.horizon, Loaded: p.loaded,
			Waiting: int64(waiting), Claimed: int64(len(p.members) - waiting), Due: p.state.Due, OldestMS: p.state.OldestMS, StartMS: p.state.StartMS,
			Server: p.state.Server}
		began := span{p.start.lo / 1000, p.start.hi / 1000}
		if p.gen == 0 {
			began = span{want.AsOf.TimeUS / 1000, want.AsOf.TimeUS / 1000}
		}
		if want.StartMS != 0 && !within(want.StartMS, began) {
			rt.Fatalf("State of partition %d says that it began at %d, want %v", p.n, want.StartMS, began)
		}
		if p.state != want || !within(p.state.Due, due) || !within(p.state.OldestMS, oldest) {
			rt.Fatalf("State of partition %d:\n got %+v\nwant %+v, %v due, the oldest at %v", p.n, p.state, want, due, oldest)
		}
	}
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func within(v int64, s span) bool { return s.lo <= v && v <= s.hi }

// is reports whether err is one of those that are allowed, nil being none.
func is(err error, allowed ...error) bool {
	if err == nil {
		return slices.Contains(allowed, nil)
	}
	return slices.ContainsFunc(allowed, func(a error) bool { return a != nil && errors.Is(err, a) })
}

// stale tells what a guard against old knowledge may answer at a time: nil,
// ErrStale, or both in the one moment between.
func (p *modelPart) stale(a task.AsOf, at span) (allowed []error) {
	if p.gen == 0 {
		return []error{task.ErrCold}
	}
	if a.Generation != p.gen || a.TimeUS < at.hi-ttl {
		allowed = append(allowed, task.ErrStale)
	}
	if a.Generation == p.gen && a.TimeUS >= at.lo-ttl {
		allowed = append(allowed, nil)
	}
	return allowed
}

// moment draws what a caller knows since when; nothing is known of a cold
// partition that never was warm.
func (p *modelPart) moment(rt *rapid.T) task.AsOf {
	if len(p.moments) == 0 || rapid.IntRange(0, 15).Draw(rt, "no knowledge") == 15 {
		return task.AsOf{}
	}
	back := rapid.IntRange(0, len(p.moments)-1).Draw(rt, "moments ago")
	return p.moments[len(p.moments)-1-back]
}

// warm begins a generation that takes all.
func (m *model) warm(rt *rapid.T, p *modelPart) {
	m.sync(rt, p)
	f := task.HorizonRequest{Epoch: 1, HorizonMS: far + 2, Limit: 9}
	got, err := m.Horizon(rt.Context(), p.n, f)
	m.begin(rt, p, f, got, err, m.sync(rt, p))
}

// entry draws one that is new to the partition.
func (p *modelPart) entry(rt *rapid.T) task.Entry {
	e := task.Entry{Ref: task.Ref{ID: rapid.SampledFrom([]string{"a", "b", "ab", "é", "{:}", aUUID, strings.ToUpper(aUUID), strings.Repeat("x", task.MaxID)}).Draw(rt, "id")}}
	e.Ver = rapid.Int64().Draw(rt, "ver")
	for slices.ContainsFunc(p.known, func(k task.Entry) bool { return k.Ref == e.Ref }) {
		e.Ver++ // no Filter: it may give up
	}
	e.NextMS = p.time(rt, "next_ms")
	if e.DueMS = e.NextMS; rapid.Bool().Draw(rt, "as most are") {
		e.Payload = []byte(":1:x:")
		p.known = append(p.known, e)
		return e
	}
	e.DueMS = rapid.SampledFrom([]int64{0, e.NextMS, task.MaxDue}).Draw(rt, "due_ms")
	e.Attempt = rapid.SampledFrom([]int{0, 1, 1 << 30}).Draw(rt, "attempt")
	switch rapid.SampledFrom([]string{"none", "inline", "external"}).Draw(rt, "payload") {
	case "inline":
		e.Payload = rapid.SampledFrom([][]byte{{0}, []byte(":1:x:"), []byte("\xff\r\n"), bytes.Repeat([]byte("p"), 2000)}).Draw(rt, "bytes")
	case "external":
		e.External = true
	}
	if !e.External {
		e.ExpiresMS = rapid.SampledFrom([]int64{0, 1, task.MaxDue}).Draw(rt, "expires_ms")
		e.CreatedMS = rapid.SampledFrom([]int64{0, 1, task.MaxDue}).Draw(rt, "created_ms")
		e.Headers = rapid.SampledFrom([]string{"", `{"k":"v"}`, `{"a":":x:"}`, strings.Repeat("h", 3000)}).Draw(rt, "headers")
	}
	p.known = append(p.known, e)
	return e
}

const hour = int64(time.Hour / time.Millisecond)

// time draws a time in ms: long over, about now, or far (and not 4e+12, which
// miniredis's Lua cannot read).
func (p *modelPart) time(rt *rapid.T, what string) int64 {
	now := p.now / 1000
	return rapid.SampledFrom([]int64{1, 2, 3, now - 5000, now, now + 1, now + 5000, now + 60_000, now + hour, far + 1, far + 2, far + 3}).Draw(rt, what)
}

// entries draws some that are not known to be removed since a moment: a caller that adds a
// row has seen it exist then.
func (p *modelPart) entries(rt *rapid.T, since task.AsOf, low int) []task.Entry {
	var old []task.Entry
	for _, e := range p.known {
		r, is := p.removed[e.Ref]
		if !is || since.Generation != p.gen || r.gen == p.gen && since.TimeUS <= r.first {
			old = append(old, e)
		}
	}
	var all []task.Entry
	if len(old) > 0 {
		all = rapid.SliceOfNDistinct(rapid.SampledFrom(old), 0, 4, func(e task.Entry) task.Ref { return e.Ref }).Draw(rt, "known entries")
	}
	for range rapid.IntRange(low, 3).Draw(rt, "new entries") {
		all = append(all, p.entry(rt))
	}
	return all
}

// refs draws some, most of them known.
func (p *modelPart) refs(rt *rapid.T, low int) []task.Ref {
	var all []task.Ref
	if len(p.known) > 0 {
		for _, e := range rapid.SliceOfNDistinct(rapid.SampledFrom(p.known), 0, 5, func(e task.Entry) task.Ref { return e.Ref }).Draw(rt, "known refs") {
			all = append(all, e.Ref)
		}
	}
	if len(all) < low || rapid.IntRange(0, 4).Draw(rt, "a new ref") == 4 {
		all = append(all, p.entry(rt).Ref)
	}
	return all
}

// ofBatch draws members of a batch.
func (p *modelPart) ofBatch(rt *rapid.T, token string) (all []task.Ref) {
	for _, e := range p.known {
		if x := p.members[e.Ref]; x != nil && x.token == token && rapid.Bool().Draw(rt, "one of the batch") {
			all = append(all, e.Ref)
		}
	}
	return all
}

// batchToken draws the token of a batch that has members; "" if there is none.
func (p *modelPart) batchToken(rt *rapid.T) string {
	var all []string
	for t := range p.batches {
		if p.held(t) > 0 {
			all = append(all, t)
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return rapid.SampledFrom(all).Draw(rt, "token")
}

func (p *modelPart) held(token string) (n int) {
	for _, x := range p.members {
		if x.token == token {
			n++
		}
	}
	return n
}

func (m *model) newToken() string {
	m.token++
	return fmt.Sprint("token-", m.token)
}

// lease notes a lease that was taken or renewed.
func (p *modelPart) lease(token string, at span, d time.Duration) {
	b := p.batches[token]
	if b == nil {
		b = &modelBatch{ghosts: map[task.Ref]bool{}}
		p.batches[token] = b
	}
	b.ends = span{at.lo + d.Microseconds(), at.hi + d.Microseconds() + 2000}
}

func drawLease(rt *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 15 * time.Second, time.Hour}).Draw(rt, "lease")
}

// end forgets batches that have no member, and none that may be left.
func (p *modelPart) end() {
	for t, b := range p.batches {
		if p.held(t) == 0 && len(b.ghosts) == 0 {
			delete(p.batches, t)
		}
	}
}

func (m *model) pass(rt *rapid.T) {
	d := time.Millisecond
	if m.Turned {
		d = rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 5 * time.Second, 9 * time.Second, 11 * time.Second, time.Minute}).Draw(rt, "time")
	} else {
		d *= rapid.SampledFrom([]time.Duration{1, 3, 20}).Draw(rt, "time in ms")
	}
	m.Pass(d)
	for _, p := range m.parts {
		if p.now > 0 {
			m.sync(rt, p)
		}
	}
}

func (m *model) lose(rt *rapid.T) {
	p := m.part(rt)
	m.Lose(p.n, rapid.Bool().Draw(rt, "all"))
	p.gen, p.epoch, p.horizon, p.loaded, p.members, p.batches = 0, 0, 0, task.Cursor{}, nil, nil
	for ref, r := range p.removed {
		r.last = -ttl // tombstones are lost too
		p.removed[ref] = r
	}
	clear(p.marked)
	m.sync(rt, p)
}
