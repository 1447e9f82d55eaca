package hotsettest

import (
	"bytes"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook/task"
)

// The calls of Model that concern batches and removals.

func (m *model) claim(rt *rapid.T) {
	p := m.part(rt)
	token, limit, lease := m.newToken(), rapid.IntRange(-1, 6).Draw(rt, "limit"), drawLease(rt)
	got, err := m.Claim(rt.Context(), p.n, task.ClaimRequest{Token: token, Limit: limit, Lease: lease})
	at := m.sync(rt, p)
	if p.gen == 0 {
		if !is(err, task.ErrCold) {
			rt.Fatalf("Claim from a cold partition: %+v, %v", got, err)
		}
		return
	}
	if err != nil || len(got.Claims) > max(0, limit) {
		rt.Fatalf("Claim of %d took %d, %v", limit, len(got.Claims), err)
	}
	for _, c := range got.Claims {
		x := p.members[c.Ref]
		if x == nil || x.token != "" || x.offer.lo > at.hi/1000 || !sameClaim(c, x.Entry) {
			rt.Fatalf("Claim took %+v at %v, the member is %+v", c, at, x)
		}
		x.token = token
	}
	for _, c := range got.Claims {
		for _, u := range p.members {
			if u.token == "" && u.offer.hi < p.members[c.Ref].offer.lo {
				rt.Fatalf("Claim took %+v and left the older %+v", p.members[c.Ref], u)
			}
		}
	}
	for _, u := range p.members {
		if u.token == "" && u.offer.hi <= at.lo/1000 && len(got.Claims) < limit {
			rt.Fatalf("Claim of %d took %d at %v and left %+v", limit, len(got.Claims), at, u)
		}
	}
	if len(got.Claims) > 0 {
		p.lease(token, at, lease)
	}
	p.next(rt, got)
}

// next checks what a claim says of the next one that waits.
func (p *modelPart) next(rt *rapid.T, got task.Batch) {
	next, n := span{}, 0
	for _, u := range p.members {
		if u.token == "" {
			if n++; n == 1 {
				next = u.offer
			}
			next = span{min(next.lo, u.offer.lo), min(next.hi, u.offer.hi)}
		}
	}
	if !within(got.NextMS, next) || got.LoadedMS != p.loaded.NextMS || got.AsOf.Generation != p.gen {
		rt.Fatalf("Claim in generation %d says that the next is offered at %d and loaded is %d, want %v and %d in %d",
			got.AsOf.Generation, got.NextMS, got.LoadedMS, next, p.loaded.NextMS, p.gen)
	}
}

// sameClaim reports whether c is e, or lacks nothing but its payload, headers, expiry and time of creation, which a set may leave out.
func sameClaim(c task.Claim, e task.Entry) bool {
	if c.External && c.Payload == nil && c.Headers == "" {
		e.External, e.Payload, e.Headers, e.ExpiresMS, e.CreatedMS = true, nil, "", c.ExpiresMS, c.CreatedMS
	}
	return !c.EntryLost && c.Ref == e.Ref && c.NextMS == e.NextMS && c.DueMS == e.DueMS && c.Attempt == e.Attempt && c.ExpiresMS == e.ExpiresMS && c.CreatedMS == e.CreatedMS &&
		c.External == e.External && c.Headers == e.Headers && bytes.Equal(c.Payload, e.Payload)
}

// claimAgain asks for a batch whose answer was lost.
func (m *model) claimAgain(rt *rapid.T) {
	p := m.part(rt)
	token := p.batchToken(rt)
	if token == "" {
		return
	}
	lease := drawLease(rt)
	got, err := m.Claim(rt.Context(), p.n, task.ClaimRequest{Token: token, Limit: rapid.IntRange(0, 6).Draw(rt, "limit"), Lease: lease})
	at := m.sync(rt, p)
	if err != nil {
		rt.Fatalf("Claim again: %v", err)
	}
	n := 0
	for _, c := range got.Claims {
		x := p.members[c.Ref]
		switch {
		case c.EntryLost && p.batches[token].ghosts[c.Ref]:
		case x == nil || x.token != token || !sameClaim(c, x.Entry):
			rt.Fatalf("Claim of batch %q again gave %+v, the member is %+v", token, c, x)
		default:
			n++
		}
	}
	if n != p.held(token) {
		rt.Fatalf("Claim of batch %q again gave %d members of %d", token, n, p.held(token))
	}
	p.lease(token, at, lease)
	p.next(rt, got)
}

func (m *model) extend(rt *rapid.T) {
	p := m.part(rt)
	h := task.ExtendRequest{Generation: p.gen, Refs: p.refs(rt, 0), Lease: drawLease(rt)}
	if a := p.moment(rt); rapid.IntRange(0, 5).Draw(rt, "another generation") == 5 {
		h.Generation = a.Generation
	}
	for _, t := range []string{p.batchToken(rt), p.ghostly(), "never"} {
		if t != "" && rapid.Bool().Draw(rt, "extend one") && !slices.Contains(h.Tokens, t) {
			h.Tokens = append(h.Tokens, t)
		}
	}
	got, err := m.Extend(rt.Context(), p.n, h)
	at := m.sync(rt, p)
	switch {
	case p.gen == 0 && is(err, task.ErrCold), p.gen != 0 && h.Generation != p.gen && is(err, task.ErrAborted):
		return
	case p.gen == 0 || h.Generation != p.gen || err != nil:
		rt.Fatalf("Extend %+v in generation %d: %+v, %v", h, p.gen, got, err)
	}
	var lost []string
	var gone []task.Ref
	for _, t := range h.Tokens {
		ghostly := p.batches[t] != nil && p.held(t) == 0
		if p.batches[t] == nil || ghostly && slices.Contains(got.Lost, t) {
			lost = append(lost, t)
			delete(p.batches, t)
		} else {
			p.lease(t, at, h.Lease)
		}
	}
	for _, r := range h.Refs {
		if p.members[r] == nil {
			gone = append(gone, r)
		}
	}
	if !slices.Equal(got.Lost, lost) || !slices.Equal(got.Gone, gone) {
		rt.Fatalf("Extend %+v: lost %q, gone %v; want %q, %v", h, got.Lost, got.Gone, lost, gone)
	}
}

// ghostly is a batch of which it is not known whether it has ended.
func (p *modelPart) ghostly() string {
	var all []string
	for t := range p.batches {
		if p.held(t) == 0 {
			all = append(all, t)
		}
	}
	slices.Sort(all)
	return slices.Concat(all, []string{""})[0]
}

func (m *model) release(rt *rapid.T) {
	p := m.part(rt)
	r := task.ReleaseRequest{Token: p.batchToken(rt), AtNext: rapid.Bool().Draw(rt, "at due"), Counted: rapid.Bool().Draw(rt, "counted"),
		Expired: rapid.Bool().Draw(rt, "expired"), AsOf: p.moment(rt)}
	if r.Refs = p.ofBatch(rt, r.Token); len(r.Refs) == 0 || r.Token == "" {
		r.Refs = p.refs(rt, 1)
	}
	r.Delay = rapid.SampledFrom([]time.Duration{-time.Second, 0, time.Millisecond, 1500 * time.Microsecond, 5 * time.Second, time.Hour, 2 * time.Hour}).Draw(rt, "delay")
	if r.Token == "" {
		r.Token = "never"
	}
	got, err := m.Release(rt.Context(), p.n, r)
	at := m.sync(rt, p)
	b := p.batches[r.Token]
	alive := r.Expired && b != nil && at.lo < b.ends.hi  // may be
	over := !r.Expired || b == nil || at.hi >= b.ends.lo // may be
	allowed := []error{nil}
	if p.gen == 0 {
		allowed = []error{task.ErrCold}
	} else if r.Expired {
		if allowed = p.stale(r.AsOf, at); alive {
			allowed = append(allowed, nil)
		}
	}
	if !is(err, allowed...) {
		rt.Fatalf("Release %+v at %v: %v, want one of %v", r, at, err, allowed)
	}
	if err != nil {
		return
	}
	answered(rt, "Release", len(r.Refs), got)
	if none := !slices.ContainsFunc(got, func(a task.ReleaseOutcome) bool { return a != task.ReleaseLeased }); none && alive {
		return // the lease holds, nothing was changed
	}
	if !over {
		rt.Fatalf("Release %+v at %v answered %d, the lease holds until %v", r, at, got, b.ends)
	}
	for i, ref := range r.Refs {
		offer, allowed := p.releasing(r, ref, at)
		if !slices.Contains(allowed, got[i]) {
			rt.Fatalf("Release %+v at %v answered %d for %+v, want one of %d; the horizon is %d", r, at, got[i], ref, allowed, p.horizon)
		}
		if got[i] == task.ReleaseWaiting {
			x := p.members[ref]
			x.token, x.offer = "", offer
			x.Attempt += int(one(r.Counted))
		}
	}
	p.end()
}

// releasing tells when a member will be offered again, and what may be answered.
func (p *modelPart) releasing(r task.ReleaseRequest, ref task.Ref, at span) (span, []task.ReleaseOutcome) {
	x := p.members[ref]
	gone, removed := p.removed[ref]
	switch {
	case removed && at.hi < gone.last+ttl:
		return span{}, []task.ReleaseOutcome{task.ReleaseDead}
	case removed:
		return span{}, []task.ReleaseOutcome{task.ReleaseDead, task.ReleaseAbsent}
	case x == nil:
		return span{}, []task.ReleaseOutcome{task.ReleaseAbsent}
	case x.token != r.Token:
		return span{}, []task.ReleaseOutcome{task.ReleaseElsewhere}
	case r.AtNext:
		return span{x.NextMS, x.NextMS}, []task.ReleaseOutcome{task.ReleaseWaiting}
	case r.Delay <= 0:
		return span{at.lo / 1000, at.hi / 1000}, []task.ReleaseOutcome{task.ReleaseWaiting}
	}
	offer := at.plus(r.Delay.Microseconds())
	offer = span{(offer.lo + 999) / 1000, offer.hi/1000 + 2}
	switch {
	case offer.lo >= p.horizon:
		return offer, []task.ReleaseOutcome{task.ReleaseBeyond}
	case offer.hi >= p.horizon:
		return offer, []task.ReleaseOutcome{task.ReleaseBeyond, task.ReleaseWaiting}
	}
	return offer, []task.ReleaseOutcome{task.ReleaseWaiting}
}

func (m *model) remove(rt *rapid.T) {
	p := m.part(rt)
	refs, token := p.refs(rt, 1), ""
	if rapid.Bool().Draw(rt, "with a token") {
		token = p.batchToken(rt)
		if held := p.ofBatch(rt, token); token != "" && len(held) > 0 {
			refs = held
		}
	}
	got, err := m.Remove(rt.Context(), p.n, token, refs)
	at := m.sync(rt, p)
	if err != nil {
		rt.Fatalf("Remove: %v", err)
	}
	answered(rt, "Remove", len(refs), got.Outcomes)
	if token == "" {
		p.wantRemoved(rt, refs, got.Outcomes, at)
	}
	for _, ref := range refs {
		x := p.members[ref]
		gone, again := p.removed[ref]
		if x != nil && x.token != "" && x.token != token {
			p.batches[x.token].ghosts[ref] = true
			p.marked[ref.ID] = at.lo
		} else if _, is := p.marked[ref.ID]; x != nil && x.token != "" && !is {
			p.marked[ref.ID] = at.lo - ttl // may be: where some of a call are not in its batch, the others may be marked too
		}
		delete(p.members, ref)
		if !again {
			gone.first, gone.gen = at.lo, p.gen
		}
		if gone.last = at.lo; p.gen == 0 {
			gone.last = -ttl // a cold partition keeps no tombstone
		}
		p.removed[ref] = gone
	}
	p.end()
}

// wantRemoved compares the answers to a removal without a token. A mark lasts for ttl, and may last
// longer.
func (p *modelPart) wantRemoved(rt *rapid.T, refs []task.Ref, got []task.RemoveOutcome, at span) {
	held := map[string]bool{}
	for _, ref := range refs {
		x := p.members[ref]
		held[ref.ID] = held[ref.ID] || x != nil && x.token != ""
	}
	for i, ref := range refs {
		want := task.RemoveAbsent
		if p.members[ref] != nil {
			want = task.RemoveWaiting
		}
		since, marked := p.marked[ref.ID]
		if held[ref.ID] || marked && at.hi < since+ttl {
			want = task.RemoveClaimed
		}
		if got[i] != want && !(marked && got[i] == task.RemoveClaimed) {
			rt.Fatalf("Remove answered %d for %+v, want %d", got[i], ref, want)
		}
		if held[ref.ID] || got[i] == task.RemoveClaimed {
			p.marked[ref.ID] = at.lo
		}
	}
}

func (m *model) find(rt *rapid.T) {
	p := m.part(rt)
	refs := p.refs(rt, 1)
	got, err := m.Find(rt.Context(), p.n, refs)
	m.sync(rt, p)
	if err != nil || len(got) != len(refs) {
		rt.Fatalf("Find of %d: %+v, %v", len(refs), got, err)
	}
	for i, ref := range refs {
		x, f := p.members[ref], got[i]
		ghost := false
		for _, b := range p.batches {
			ghost = ghost || b.ghosts[ref]
		}
		switch {
		case x == nil && (f == task.FindResult{} || ghost && f.Outcome == task.FindClaimed):
		case x != nil && x.token == "" && f.Outcome == task.FindWaiting && f.Attempt == x.Attempt && within(f.NextMS, x.offer):
			x.offer = span{f.NextMS, f.NextMS}
		case x != nil && x.token != "" && f.Outcome == task.FindClaimed && f.Attempt == x.Attempt:
		default:
			rt.Fatalf("Find of %+v answered %+v, the member is %+v", ref, f, x)
		}
	}
}

func (m *model) expired(rt *rapid.T) {
	p := m.part(rt)
	limit, lease := rapid.IntRange(0, 4).Draw(rt, "limit"), drawLease(rt)
	got, err := m.Expired(rt.Context(), p.n, limit, lease)
	at := m.sync(rt, p)
	since := p.start.plus(lease.Microseconds())
	if err != nil || len(got) > limit || len(got) > 0 && (p.gen == 0 || at.hi < since.lo) {
		rt.Fatalf("Expired of at most %d at %v, none before %v: %+v, %v", limit, at, since, got, err)
	}
	seen := map[string]bool{}
	for _, r := range got {
		b, n := p.batches[r.Token], 0
		if b == nil || at.hi < b.ends.lo || seen[r.Token] {
			rt.Fatalf("Expired at %v of %+v, which is %+v", at, r, b)
		}
		seen[r.Token] = true
		for _, ref := range r.Refs {
			x := p.members[ref]
			if x != nil && x.token == r.Token {
				n++
			} else if !b.ghosts[ref] {
				rt.Fatalf("Expired returned %+v in batch %q, the member is %+v", ref, r.Token, x)
			}
		}
		if n != p.held(r.Token) {
			rt.Fatalf("Expired returned %d members of batch %q, which has %d", n, r.Token, p.held(r.Token))
		}
	}
	for t, b := range p.batches {
		if len(got) < limit && at.lo >= since.hi && at.lo >= b.ends.hi && p.held(t) > 0 && !seen[t] {
			rt.Fatalf("Expired at %v returned %+v and not %q, whose lease ended at %v", at, got, t, b.ends)
		}
	}
}

// modelTerm is the holder of a role.
type modelTerm struct {
	holder string
	ends   span // us
	epoch  int64
}

func (m *model) elect(rt *rapid.T) {
	p := m.parts[0]
	if p.now == 0 {
		m.sync(rt, p)
	}
	holder := rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "holder")
	length := rapid.SampledFrom([]time.Duration{0, 5 * time.Millisecond, 5 * time.Second, time.Hour}).Draw(rt, "term")
	roles := rapid.SampledFrom([][]task.Role{{task.Feeder}, {task.Auditor, task.Feeder}}).Draw(rt, "roles")
	got, err := m.Elect(rt.Context(), holder, length, roles...)
	at := m.sync(rt, p)
	if err != nil || len(got) != len(roles) {
		rt.Fatalf("Elect of %d roles: %+v, %v", len(roles), got, err)
	}
	for i, role := range roles {
		if m.terms[role] == nil {
			m.terms[role] = &modelTerm{}
		}
		if !m.terms[role].matches(holder, length, at, got[i]) {
			rt.Fatalf("%s asked for %s of %v at %v and was answered %+v, it was %+v", holder, role, length, at, got[i], *m.terms[role])
		}
	}
}

// matches takes an answer over, and reports whether it is right.
func (t *modelTerm) matches(holder string, length time.Duration, at span, got task.Term) bool {
	runs, over := at.lo < t.ends.hi, at.hi >= t.ends.lo // may be
	left := span{(t.ends.lo - at.hi) / 1000, (t.ends.hi - at.lo) / 1000}
	begins := got.Held && got.New && got.Epoch > t.epoch && over
	renews := got.Held && !got.New && got.Epoch == t.epoch && runs && t.holder == holder
	const ms = int64(time.Millisecond / time.Microsecond)
	switch {
	case length == 0 && !got.Held && !got.New && got.Epoch == t.epoch:
		if t.holder == holder && runs {
			t.ends = span{0, at.hi}
			return got.Left == 0
		}
		return within(got.Left.Milliseconds(), span{max(0, left.lo-1), max(0, left.hi+1)})
	case length > 0 && (begins || renews):
		t.holder, t.epoch = holder, got.Epoch
		t.ends = span{at.lo + length.Microseconds() - ms, at.hi + length.Microseconds() + ms}
		return within(got.Left.Milliseconds(), span{length.Milliseconds() - 1, length.Milliseconds() + 1})
	case length > 0 && !got.Held && !got.New && got.Epoch == t.epoch && runs && t.holder != holder:
		return within(got.Left.Milliseconds(), span{max(0, left.lo-1), left.hi + 1})
	}
	return false
}
