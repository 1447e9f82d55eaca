package durabletest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook/task"
)

// upsert draws an Upsert. Some rows know the previous version of the stored row, and some are retries.
func (m *model) upsert(rt *rapid.T) {
	on := rapid.SampledFrom([]task.OnConflict{task.Keep, task.Replace, task.Earliest, task.Debounce}).Draw(rt, "on conflict")
	rows := m.drawRows(rt, drawIDs(rt, 1, 4))
	for i, r := range rows {
		old := m.rows[r.ID]
		if old.Ver != r.Ver {
			rows[i].CreatedMS = 7
		}
		if old.PrevVer != 0 && rapid.Bool().Draw(rt, "knows the previous version") {
			rows[i].PrevVer = old.PrevVer
		}
	}
	want, prev := m.willUpsert(rows, on)
	got, err := m.s.Upsert(rt.Context(), rows, on)
	var refused *task.PrevError
	switch {
	case len(prev) > 0 && (!errors.As(err, &refused) || !sameRefs(refused.Refs, prev)):
		rt.Fatalf("Upsert %d of%s: %v, want a PrevError of %v", on, short(rows), err, prev)
	case len(prev) == 0 && (err != nil || !slices.EqualFunc(got, want, sameUpserted)):
		rt.Fatalf("Upsert %d of%s: %+v, %v; want %+v", on, short(rows), got, err, want)
	}
}

// sameUpserted leaves out payloads, which an answer need not have.
func sameUpserted(a, b task.Upserted) bool {
	a.Row.Payload, b.Row.Payload, a.Row.Headers, b.Row.Headers = nil, nil, "", ""
	return a.Outcome == b.Outcome && a.Was == b.Was && same(a.Row, b.Row)
}

// willUpsert applies an Upsert, and returns its answer, or the previous versions for which it is refused.
func (m *model) willUpsert(rows []task.Row, on task.OnConflict) (want []task.Upserted, prev []task.Ref) {
	for _, r := range rows {
		d := m.willUpsertOne(r, on)
		if old := m.rows[r.ID]; (d.Outcome == task.Replaced || on == task.Replace && d.Outcome == task.Kept) && old.Ver != r.Ver && old.PrevVer != 0 && old.PrevVer != r.PrevVer {
			prev = append(prev, task.Ref{ID: r.ID, Ver: old.PrevVer})
		}
		want = append(want, d)
	}
	for _, d := range want {
		if old, stands := m.rows[d.Row.ID]; len(prev) == 0 && d.Outcome != task.Kept && (!stands || old.Ver != d.Row.Ver) {
			if stands {
				m.old = append(m.old, old.Ref)
			}
			m.rows[d.Row.ID] = d.Row
		}
	}
	return want, prev
}

// willUpsertOne returns what becomes of one row.
func (m *model) willUpsertOne(r task.Row, on task.OnConflict) task.Upserted {
	old, stands := m.rows[r.ID]
	to := r
	switch {
	case !stands || old.Ver == r.Ver && old.PrevVer == 0:
		to.PrevVer = 0
		return task.Upserted{Outcome: task.Created, Row: to}
	case old.Ver == r.Ver:
		return task.Upserted{Outcome: task.Replaced, Was: task.Ref{ID: r.ID, Ver: old.PrevVer}, Row: old}
	case on == task.Keep, on == task.Earliest && old.NextMS <= r.NextMS, on == task.Replace && old.Headers == r.Headers && bytes.Equal(old.Payload, r.Payload):
		return task.Upserted{Outcome: task.Kept}
	case on == task.Replace:
		to = old
		to.Payload, to.Headers, to.Size = r.Payload, r.Headers, r.Size
	case on == task.Earliest:
		to = old
		to.NextMS, to.DueMS = r.NextMS, r.DueMS
	}
	to.Ver, to.PrevVer, to.CreatedMS = r.Ver, old.Ver, old.CreatedMS
	return task.Upserted{Outcome: task.Replaced, Was: old.Ref, Row: to}
}

// replace draws a Move that sets payload and headers too.
func (m *model) replace(rt *rapid.T) {
	ref, to := m.drawMove(rt, drawID(rt))
	if old := m.rows[ref.ID]; old.Ver != to.Ver { // no retry
		text := m.drawRow(rt, ref.ID)
		to.Payload, to.Headers, to.Size = text.Payload, text.Headers, text.Size
	}
	want := m.willMove(ref, to)
	if r, stands := m.rows[ref.ID]; want && stands && r.Ver == to.Ver {
		r.Payload, r.Headers, r.Size = to.Payload, to.Headers, to.Size
		m.rows[ref.ID] = r
	}
	if got, err := m.s.Replace(rt.Context(), ref, to); got != want || err != nil {
		rt.Fatalf("Replace of %+v by %+v: %v, %v; want %v", ref, to, got, err, want)
	}
}

// scanBack draws a ScanDown, and a ScanIDs.
func (m *model) scanBack(rt *rapid.T) {
	at := rapid.SampledFrom([]int64{0, 1, 2, 3, 1 << 40, task.MaxDue, task.MaxDue + 1})
	before := task.Cursor{NextMS: at.Draw(rt, "before"), ID: rapid.SampledFrom(append(modelIDs, "")).Draw(rt, "before id")}
	from, limit := at.Draw(rt, "from"), rapid.IntRange(1, 9).Draw(rt, "limit")
	prefix, after := rapid.SampledFrom([]string{"a", "b", "x", "é", "e", "😀"}).Draw(rt, "prefix"), rapid.SampledFrom(append(modelIDs, "")).Draw(rt, "after id")
	r := task.Range{IDPrefix: prefix, FromMS: from, BelowMS: task.MaxDue + 1}
	var down, byID []task.Row
	for _, row := range m.want(task.Cursor{}, math.MaxInt64, len(modelIDs)+1, 0) {
		if row.NextMS >= from && row.Cursor().Less(before) {
			down = append(down, row)
		}
		if strings.HasPrefix(row.ID, prefix) && row.ID > after && row.NextMS >= from {
			byID = append(byID, row)
		}
	}
	slices.Reverse(down)
	slices.SortFunc(byID, func(a, b task.Row) int { return strings.Compare(a.ID, b.ID) })
	got, err := m.s.ScanDown(rt.Context(), before, from, limit, 0)
	if err != nil {
		rt.Fatalf("ScanDown before %+v from %d: %v", before, from, err)
	}
	equalRows(rt, fmt.Sprintf("ScanDown before %+v from %d, at most %d", before, from, limit), got, down[:min(limit, len(down))])
	page, err := m.s.ScanIDs(rt.Context(), r, after, limit, 0)
	if err != nil {
		rt.Fatalf("ScanIDs of %+v after %q: %v", r, after, err)
	}
	equalRows(rt, fmt.Sprintf("ScanIDs of %+v after %q, at most %d", r, after, limit), page.Rows, byID[:min(limit, len(byID))])
	counted, err := m.s.CountPage(rt.Context(), r, task.Cursor{ID: after})
	if err != nil || counted.N != len(byID) || counted.More {
		rt.Fatalf("CountPage of %+v after %q: %+v, %v; want %d", r, after, counted, err, len(byID))
	}
}
