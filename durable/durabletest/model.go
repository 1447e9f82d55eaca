package durabletest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// Model runs one random sequence of calls on s and compares each answer with that
// of a map of rows, and all rows after each step. S is migrated; Model empties it
// first, and no other caller uses it meanwhile.
//
//	func TestModel(t *testing.T) {
//		s := open(t)
//		rapid.Check(t, func(rt *rapid.T) { durabletest.Model(rt, s) })
//	}
//
// How many sequences a test runs is rapid's to say: RAPID_CHECKS, 100 by default.
func Model(rt *rapid.T, s durable.Store) {
	m := &model{s: s, rows: map[string]task.Row{}, vers: map[int64]bool{0: true}} // no version is 0, which stands for no previous version
	m.empty(rt)
	rt.Repeat(map[string]func(*rapid.T){
		"":             m.compare,
		"create":       m.create,
		"delete":       m.delete,
		"deleteByID":   m.deleteByID,
		"deletersByID": m.deletersByID,
		"move":         m.move,
		"replace":      m.replace,
		"upsert":       m.upsert,
		"scanBack":     m.scanBack,
		"bury":         m.bury,
		"requeue":      m.requeue,
		"purge":        m.purge,
		"listDead":     m.listDead,
		"get":          m.get,
		"scan":         m.scan,
		"count":        m.count,
		"advance":      m.advance,
		"together":     m.together,
		"rivals":       m.rivals,
	})
}

// model is what a Store is to hold: a map, and a list of dead letters. Versions are new at each create and
// move, as the contract has it; those that are gone stay in old.
type model struct {
	s    durable.Store
	rows map[string]task.Row
	vers map[int64]bool
	old  []task.Ref
	dead []task.Dead
}

// modelIDs are few, so that calls meet, and such as are easily taken for another.
var modelIDs = []string{"a", "b", "A", "a ", "é", "e\u0301", "😀", strings.Repeat("x", task.MaxID)}

func drawID(rt *rapid.T) string { return rapid.SampledFrom(modelIDs).Draw(rt, "id") }

func (m *model) empty(rt *rapid.T) {
	for {
		rows := m.page(rt, task.Cursor{}, math.MaxInt64, 100, 0)
		if len(rows) == 0 {
			break
		}
		var refs []task.Ref
		for _, r := range rows {
			refs = append(refs, r.Ref)
		}
		if _, err := m.s.Delete(rt.Context(), refs); err != nil {
			rt.Fatalf("Delete of what was left: %v", err)
		}
	}
	if _, err := m.s.PurgeDead(rt.Context(), task.MaxDue+1); err != nil {
		rt.Fatalf("PurgeDead of what was left: %v", err)
	}
}

// page is Scan, which is to succeed.
func (m *model) page(rt *rapid.T, after task.Cursor, below int64, limit, inline int) []task.Row {
	rows, err := m.s.Scan(rt.Context(), after, below, limit, inline)
	if err != nil {
		rt.Fatalf("Scan after %+v below %d: %v", after, below, err)
	}
	return rows
}

// want is what Scan is to answer.
func (m *model) want(after task.Cursor, below int64, limit, inline int) []task.Row {
	var all []task.Row
	for _, r := range m.rows {
		if after.Less(r.Cursor()) && r.NextMS < below {
			if r.Size > inline {
				r.Payload, r.Headers = nil, ""
			}
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b task.Row) int {
		if a.Cursor().Less(b.Cursor()) {
			return -1
		}
		return 1
	})
	return all[:min(limit, len(all))]
}

func (m *model) compare(rt *rapid.T) {
	equalRows(rt, "all rows", m.page(rt, task.Cursor{}, math.MaxInt64, len(modelIDs)+1, 1<<20), m.want(task.Cursor{}, math.MaxInt64, 1000, 1<<20))
}

func equalRows(rt *rapid.T, what string, got, want []task.Row) {
	if !slices.EqualFunc(got, want, same) {
		rt.Fatalf("%s:\n got %s\nwant %s", what, short(got), short(want))
	}
	for _, r := range got {
		if len(r.Payload) == 0 && r.Payload != nil {
			rt.Fatalf("%s: an empty payload of %q came back as one that is not nil", what, r.ID)
		}
	}
}

// short prints rows without their payloads.
func short(rows []task.Row) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, " {%.8q ver %d before %d next %d due %d attempt %d created %d, %d bytes %.8x headers %.8q}",
			r.ID, r.Ver, r.PrevVer, r.NextMS, r.DueMS, r.Attempt, r.CreatedMS, r.Size, r.Payload, r.Headers)
	}
	return b.String()
}

func (m *model) drawVer(rt *rapid.T) int64 {
	v := rapid.Int64Range(math.MinInt64+1, math.MaxInt64-1_000_000).Draw(rt, "ver") // a cursor may begin at the least
	for m.vers[v] {                                                                 // no Filter: it may give up, and the model has changed by then
		v++
	}
	m.vers[v] = true
	return v
}

func (m *model) drawRow(rt *rapid.T, id string) task.Row {
	r := task.Row{Ref: task.Ref{ID: id, Ver: m.drawVer(rt)}, CreatedMS: rapid.Int64Range(0, task.MaxDue).Draw(rt, "created_ms")}
	m.drawTime(rt, &r)
	n := rapid.SampledFrom([]int{0, 0, 1, 2, 5, 6, 300, 5000}).Draw(rt, "payload bytes")
	if r.Size = n; n > 0 {
		seed := rapid.Byte().Draw(rt, "payload")
		for i := range n {
			r.Payload = append(r.Payload, seed+byte(i*i))
		}
	}
	r.Headers = rapid.SampledFrom([]string{"", "", `{"k":"v"}`, `{"":"é"}`, `{"k":"` + strings.Repeat("v", 4000) + `"}`}).Draw(rt, "headers")
	r.Size = r.Bytes()
	return r
}

// drawTime draws what Create and Move set, times that are often the same among them.
func (m *model) drawTime(rt *rapid.T, r *task.Row) {
	r.NextMS = rapid.SampledFrom([]int64{0, 1, 2, 3, 1 << 40, task.MaxDue}).Draw(rt, "next_ms")
	r.DueMS = rapid.Int64Range(0, task.MaxDue).Draw(rt, "due_ms")
	r.Attempt = rapid.IntRange(0, math.MaxInt32).Draw(rt, "attempt")
}

// drawRef draws a ref that stands, or one that stood, or never did.
func (m *model) drawRef(rt *rapid.T, id string) task.Ref {
	if r, ok := m.rows[id]; ok && rapid.Bool().Draw(rt, "present version") {
		return r.Ref
	}
	for _, ref := range m.old {
		if ref.ID == id && rapid.Bool().Draw(rt, "old version") {
			return ref
		}
	}
	return task.Ref{ID: id, Ver: m.drawVer(rt)}
}

func drawIDs(rt *rapid.T, low, high int) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(modelIDs), low, high, rapid.ID[string]).Draw(rt, "ids")
}

// drawRows draws rows to create. Some are retries: a row that stands already, whose
// answer was lost.
func (m *model) drawRows(rt *rapid.T, ids []string) []task.Row {
	var rows []task.Row
	for _, id := range ids {
		if r, ok := m.rows[id]; ok && rapid.Bool().Draw(rt, "created before") {
			rows = append(rows, r)
		} else {
			rows = append(rows, m.drawRow(rt, id))
		}
	}
	return rows
}

// willCreate applies a Create and returns the ids that make it fail.
func (m *model) willCreate(rows []task.Row) (taken []string) {
	for _, r := range rows {
		if old, ok := m.rows[r.ID]; ok && old.Ver != r.Ver {
			taken = append(taken, r.ID)
		}
	}
	if len(taken) == 0 {
		for _, r := range rows {
			m.rows[r.ID] = r
		}
	}
	slices.Sort(taken)
	return taken
}

// willDelete applies the deletion of one ref and returns its answer.
func (m *model) willDelete(ref task.Ref) bool {
	if r, ok := m.rows[ref.ID]; !ok || r.Ver != ref.Ver {
		return false
	}
	delete(m.rows, ref.ID)
	m.old = append(m.old, ref)
	return true
}

// willMove applies a Move and returns its answer.
func (m *model) willMove(ref task.Ref, to task.Row) bool {
	r, ok := m.rows[ref.ID]
	if !ok || r.Ver != ref.Ver {
		return ok && r.Ver == to.Ver
	}
	r.Ver, r.PrevVer, r.NextMS, r.DueMS, r.Attempt = to.Ver, r.Ver, to.NextMS, to.DueMS, to.Attempt
	m.rows[ref.ID] = r
	m.old = append(m.old, ref)
	return true
}

func (m *model) create(rt *rapid.T) {
	rows := m.drawRows(rt, drawIDs(rt, 1, 4))
	if err := m.callCreate(rt.Context(), rows, m.willCreate(rows)); err != nil {
		rt.Fatal(err)
	}
}

// callCreate says what is wrong with the answer.
func (m *model) callCreate(ctx context.Context, rows []task.Row, taken []string) error {
	err := m.s.Create(ctx, rows)
	var ide *task.IDError
	switch {
	case len(taken) == 0 && err != nil:
		return fmt.Errorf("create of%s: %w", short(rows), err)
	case len(taken) == 0:
		return nil
	case !errors.As(err, &ide) || !errors.Is(err, task.ErrExists):
		return fmt.Errorf("create of%s: %w, want ErrExists for %q", short(rows), orNil(err), taken)
	}
	if slices.Sort(ide.Exists); !slices.Equal(ide.Exists, taken) {
		return fmt.Errorf("create of%s: %q exist, want %q", short(rows), ide.Exists, taken)
	}
	return nil
}

var errNil = errors.New("nil")

func orNil(err error) error {
	if err == nil {
		return errNil
	}
	return err
}

func (m *model) delete(rt *rapid.T) {
	var refs []task.Ref
	var want []bool
	for _, id := range drawIDs(rt, 1, 4) {
		refs = append(refs, m.drawRef(rt, id))
	}
	for _, ref := range refs {
		want = append(want, m.willDelete(ref))
	}
	if got, err := m.s.Delete(rt.Context(), refs); err != nil || !slices.Equal(got, want) {
		rt.Fatalf("Delete of %+v: %v, %v; want %v", refs, got, err, want)
	}
}

// willDeleteByID applies a DeleteByID and returns its answer.
func (m *model) willDeleteByID(ids []string) (want []task.Row) {
	for _, id := range ids {
		if r, ok := m.rows[id]; ok {
			m.willDelete(r.Ref)
			want = append(want, r)
		}
	}
	return want
}

// callDeleteByID says what is wrong with the answer.
func (m *model) callDeleteByID(ctx context.Context, ids []string, want []task.Row) error {
	got, err := m.s.DeleteByID(ctx, ids, task.MaxDue)
	if err != nil || !SameDeleted(got, want) {
		return fmt.Errorf("delete by id of %q:%s, %w; want%s", ids, short(got), orNil(err), short(want))
	}
	return nil
}

func (m *model) deleteByID(rt *rapid.T) {
	ids := drawIDs(rt, 0, 5)
	if err := m.callDeleteByID(rt.Context(), ids, m.willDeleteByID(ids)); err != nil {
		rt.Fatal(err)
	}
}

// deletersByID delete the same ids at once: each row is one's alone.
func (m *model) deletersByID(rt *rapid.T) {
	ids := drawIDs(rt, 1, 5)
	want := m.willDeleteByID(ids)
	got := make([][]task.Row, rapid.SampledFrom([]int{2, 3, 16}).Draw(rt, "deleters"))
	calls := make([]func(context.Context) error, len(got))
	for i := range calls {
		calls[i] = func(ctx context.Context) (err error) {
			got[i], err = m.s.DeleteByID(ctx, ids, task.MaxDue)
			return err
		}
	}
	err := errors.Join(atOnce(rt.Context(), calls)...)
	if all := slices.Concat(got...); err != nil || !SameDeleted(all, want) {
		rt.Fatalf("%d deleters of %q:%s, %v; want%s", len(calls), ids, short(all), err, short(want))
	}
}

func (m *model) drawMove(rt *rapid.T, id string) (task.Ref, task.Row) {
	ref := m.drawRef(rt, id)
	to := task.Row{Ref: task.Ref{ID: id}}
	m.drawTime(rt, &to)
	if r, ok := m.rows[id]; ok && r.Ver != ref.Ver && rapid.Bool().Draw(rt, "moved before") {
		to = r // a retry
	} else {
		to.Ver = m.drawVer(rt)
	}
	return ref, to
}

func (m *model) move(rt *rapid.T) {
	ref, to := m.drawMove(rt, drawID(rt))
	want := m.willMove(ref, to)
	if got, err := m.s.Move(rt.Context(), ref, to); got != want || err != nil {
		rt.Fatalf("Move of %+v to %+v: %v, %v; want %v", ref, to, got, err, want)
	}
}

func (m *model) get(rt *rapid.T) {
	ids := drawIDs(rt, 0, 5)
	var want []task.Row
	var refs []task.Ref
	for _, id := range ids {
		if r, ok := m.rows[id]; ok {
			want, refs = append(want, r), append(refs, r.Ref)
		}
	}
	byID := func(a, b task.Row) int { return strings.Compare(a.ID, b.ID) }
	slices.SortFunc(want, byID)
	got, err := m.s.Get(rt.Context(), ids)
	if err != nil {
		rt.Fatalf("Get of %q: %v", ids, err)
	}
	slices.SortFunc(got, byID)
	equalRows(rt, fmt.Sprintf("Get of %q", ids), got, want)
	vers, err := m.s.Versions(rt.Context(), ids)
	set := func(refs []task.Ref) map[task.Ref]int {
		n := map[task.Ref]int{}
		for _, r := range refs {
			n[r]++
		}
		return n
	}
	if err != nil || !maps.Equal(set(vers), set(refs)) {
		rt.Fatalf("Versions of %q: %+v, %v; want %+v", ids, vers, err, refs)
	}
}

func (m *model) scan(rt *rapid.T) {
	at := rapid.SampledFrom([]int64{0, 1, 2, 3, 1<<40 - 1, 1 << 40, task.MaxDue, task.MaxDue + 1})
	after := task.Cursor{NextMS: at.Draw(rt, "after"), ID: rapid.SampledFrom(append(modelIDs, "")).Draw(rt, "after id")}
	below, limit, inline := at.Draw(rt, "below"), rapid.IntRange(1, 9).Draw(rt, "limit"), rapid.SampledFrom([]int{0, 1, 5, 299, 300, 1 << 20}).Draw(rt, "inline")
	equalRows(rt, fmt.Sprintf("Scan after %+v below %d, at most %d, inline %d", after, below, limit, inline),
		m.page(rt, after, below, limit, inline), m.want(after, below, limit, inline))
}

func (m *model) count(rt *rapid.T) {
	limit := rapid.IntRange(0, 9).Draw(rt, "limit")
	n, exact, err := m.s.Count(rt.Context(), limit)
	want := int64(len(m.rows))
	if err != nil || exact != (want <= int64(limit)) || exact && n != want || !exact && n <= int64(limit) {
		rt.Fatalf("Count of %d rows up to %d: %d, %v, %v", want, limit, n, exact, err)
	}
}

// together makes calls on distinct ids at once: an implementation may group them,
// and each is to learn its own result.
func (m *model) together(rt *rapid.T) {
	var calls []func(context.Context) error
	for _, id := range drawIDs(rt, 2, len(modelIDs)) {
		switch rapid.SampledFrom([]string{"create", "delete", "deleteByID", "move"}).Draw(rt, "call") {
		case "deleteByID":
			want := m.willDeleteByID([]string{id})
			calls = append(calls, func(ctx context.Context) error { return m.callDeleteByID(ctx, []string{id}, want) })
		case "create":
			rows := m.drawRows(rt, []string{id})
			taken := m.willCreate(rows)
			calls = append(calls, func(ctx context.Context) error { return m.callCreate(ctx, rows, taken) })
		case "delete":
			ref := m.drawRef(rt, id)
			want := m.willDelete(ref)
			calls = append(calls, func(ctx context.Context) error {
				if got, err := m.s.Delete(ctx, []task.Ref{ref}); err != nil || len(got) != 1 || got[0] != want {
					return fmt.Errorf("delete of %+v among others: %v, %w; want %v", ref, got, orNil(err), want)
				}
				return nil
			})
		case "move":
			ref, to := m.drawMove(rt, id)
			want := m.willMove(ref, to)
			calls = append(calls, func(ctx context.Context) error {
				if got, err := m.s.Move(ctx, ref, to); got != want || err != nil {
					return fmt.Errorf("move of %+v to %+v among others: %v, %w; want %v", ref, to, got, orNil(err), want)
				}
				return nil
			})
		}
	}
	if err := errors.Join(atOnce(rt.Context(), calls)...); err != nil {
		rt.Fatal(err)
	}
}

func atOnce(ctx context.Context, calls []func(context.Context) error) []error {
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, call := range calls {
		wg.Go(func() { errs[i] = call(ctx) })
	}
	wg.Wait()
	return errs
}

// rivals makes calls at once of which one only can succeed, and takes over which.
func (m *model) rivals(rt *rapid.T) {
	id := drawID(rt)
	row, stands := m.rows[id]
	n := rapid.SampledFrom([]int{2, 3, 5, 16}).Draw(rt, "rivals") // many: an implementation may group them
	var wins []func()
	won := make([]bool, n)
	var calls []func(context.Context) error
	for i := range n {
		switch {
		case !stands:
			r := m.drawRow(rt, id)
			wins = append(wins, func() { m.willCreate([]task.Row{r}) })
			calls = append(calls, func(ctx context.Context) error {
				err := m.s.Create(ctx, []task.Row{r})
				if won[i] = err == nil; errors.Is(err, task.ErrExists) {
					return nil
				}
				return err
			})
		case rapid.Bool().Draw(rt, "moves"):
			_, to := m.drawMove(rt, id)
			to.Ver = m.drawVer(rt)
			wins = append(wins, func() { m.willMove(row.Ref, to) })
			calls = append(calls, func(ctx context.Context) (err error) {
				won[i], err = m.s.Move(ctx, row.Ref, to)
				return err
			})
		default:
			wins = append(wins, func() { m.willDelete(row.Ref) })
			calls = append(calls, func(ctx context.Context) error {
				got, err := m.s.Delete(ctx, []task.Ref{row.Ref})
				won[i] = err == nil && got[0]
				return err
			})
		}
	}
	if err := errors.Join(atOnce(rt.Context(), calls)...); err != nil {
		rt.Fatalf("rivals over %q: %v", id, err)
	}
	winner := slices.Index(won, true)
	if winner < 0 || slices.Contains(won[winner+1:], true) {
		rt.Fatalf("rivals over %q: %v won, want one of them", id, won)
	}
	wins[winner]()
}
