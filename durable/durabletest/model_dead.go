package durabletest

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook/task"
)

// bury draws a Bury: of rows that stand, that stood, that are dead, or that never were.
func (m *model) bury(rt *rapid.T) {
	var burials []task.Burial
	var want []bool
	for _, id := range drawIDs(rt, 1, 4) {
		b := task.Burial{Ref: m.drawRef(rt, id), Reason: rapid.SampledFrom([]string{task.ReasonExpired, task.ReasonAttempts, "discarded: é"}).Draw(rt, "reason"),
			Attempt: rapid.IntRange(0, math.MaxInt32).Draw(rt, "attempts"), LastError: rapid.SampledFrom([]string{"", "why"}).Draw(rt, "last error"),
			DeadMS: rapid.SampledFrom([]int64{0, 1, 2, 1 << 40}).Draw(rt, "dead_ms")}
		if ref, is := m.drawDead(rt, id); is {
			b.Ref = ref
		}
		burials = append(burials, b)
	}
	for _, b := range burials {
		want = append(want, m.willBury(b))
	}
	if got, err := m.s.Bury(rt.Context(), burials); err != nil || !slices.Equal(got, want) {
		rt.Fatalf("Bury of %+v: %v, %v; want %v", burials, got, err, want)
	}
}

// drawDead draws a version of id that is dead, if there is one.
func (m *model) drawDead(rt *rapid.T, id string) (task.Ref, bool) {
	for _, d := range m.dead {
		if d.ID == id && rapid.Bool().Draw(rt, "dead version") {
			return d.Ref, true
		}
	}
	return task.Ref{}, false
}

// willBury applies the burial of one version and returns its answer.
func (m *model) willBury(b task.Burial) bool {
	r := m.rows[b.ID]
	if m.willDelete(b.Ref) {
		m.dead = append(m.dead, letterOf(r, b))
		return true
	}
	return slices.ContainsFunc(m.dead, func(d task.Dead) bool { return d.Ref == b.Ref })
}

// requeue draws a Requeue.
func (m *model) requeue(rt *rapid.T) {
	id := drawID(rt)
	ref, is := m.drawDead(rt, id)
	if !is {
		ref = m.drawRef(rt, id)
	}
	to := task.Row{Ref: task.Ref{ID: id, Ver: m.drawVer(rt)}}
	m.drawTime(rt, &to)
	at := slices.IndexFunc(m.dead, func(d task.Dead) bool { return d.Ref == ref })
	_, lives := m.rows[id]
	got, err := m.s.Requeue(rt.Context(), ref, to)
	if at >= 0 && lives {
		if !errors.Is(err, task.ErrExists) || got {
			rt.Fatalf("Requeue of %+v, whose ID lives: %v, %v; want ErrExists", ref, got, err)
		}
		return
	}
	if err != nil || got != (at >= 0) {
		rt.Fatalf("Requeue of %+v: %v, %v; want %v", ref, got, err, at >= 0)
	}
	if at < 0 {
		return
	}
	d := m.dead[at]
	m.dead = slices.Delete(m.dead, at, at+1)
	r := task.Row{Ref: to.Ref, NextMS: to.NextMS, DueMS: to.DueMS, CreatedMS: d.CreatedMS, Payload: d.Payload, Headers: d.Headers}
	r.Size = r.Bytes()
	m.rows[id] = r
}

// purge draws a PurgeDead, and a CountDead.
func (m *model) purge(rt *rapid.T) {
	before := rapid.SampledFrom([]int64{0, 1, 2, 3, 1 << 40, task.MaxDue}).Draw(rt, "before")
	was := len(m.dead)
	m.dead = slices.DeleteFunc(m.dead, func(d task.Dead) bool { return d.DeadMS < before })
	if n, err := m.s.PurgeDead(rt.Context(), before); err != nil || n != int64(was-len(m.dead)) {
		rt.Fatalf("PurgeDead before %d: %d, %v; want %d", before, n, err, was-len(m.dead))
	}
	if n, exact, err := m.s.CountDead(rt.Context(), 1000); err != nil || !exact || n != int64(len(m.dead)) {
		rt.Fatalf("CountDead: %d, %v, %v; want %d", n, exact, err, len(m.dead))
	}
}

// advance has the store do what it does in the background.
func (m *model) advance(rt *rapid.T) {
	if err := m.s.Advance(rt.Context(), time.Now().UnixMilli()); err != nil {
		rt.Fatalf("Advance: %v", err)
	}
}

// listDead draws a list of dead letters, of which each page is read.
func (m *model) listDead(rt *rapid.T) {
	at := rapid.SampledFrom([]int64{0, 0, 1, 2, 3, 1 << 40})
	f := task.DeadFilter{IDPrefix: rapid.SampledFrom([]string{"", "", "a", "é", "x"}).Draw(rt, "prefix"), Reason: rapid.SampledFrom([]string{"", "", "discarded", "expired"}).Draw(rt, "reason"),
		FromMS: at.Draw(rt, "from"), BeforeMS: at.Draw(rt, "before")}
	limit := rapid.IntRange(1, 9).Draw(rt, "limit")
	var got []task.Dead
	for page := (task.DeadPage{More: true}); page.More; {
		var err error
		if page, err = m.s.Dead(rt.Context(), f, page.Next, limit); err != nil || len(page.Dead) > limit {
			rt.Fatalf("Dead of %+v, at most %d: %d, %v", f, limit, len(page.Dead), err)
		}
		got = append(got, page.Dead...)
	}
	var want []task.Dead
	for _, d := range m.dead {
		if f.Matches(d) {
			want = append(want, d)
		}
	}
	slices.SortFunc(want, func(a, b task.Dead) int {
		byID := cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.Ver, b.Ver))
		if f.IDPrefix != "" {
			return byID
		}
		return cmp.Or(cmp.Compare(a.DeadMS, b.DeadMS), byID)
	})
	if !slices.EqualFunc(got, want, sameDead) {
		rt.Fatalf("Dead of %+v, %d a page:\n got %+v\nwant %+v", f, limit, got, want)
	}
}
