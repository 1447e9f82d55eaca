package durabletest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// historyClaims are those of durable.Historian. A Store that is none need not keep them.
var historyClaims = []claim{
	{"EndedTasksAreKept", historian(endedTasksAreKept)},
	{"WholeEndingsAreKept", historian(wholeEndingsAreKept)},
	{"ManyEndedTasksAreKept", historian(manyEndedTasksAreKept)},
	{"HistoryIsNewestFirst", historian(historyIsNewestFirst)},
	{"EndByIDKeepsWhatItDeletes", historian(endByIDKeeps)},
	{"DeadLettersAreKept", historian(deadLettersAreKept)},
	{"BadEndingsAreRefused", historian(badEndingsAreRefused)},
	{"EachEndIsKeptOnce", historian(eachEndIsKeptOnce)},
	{"HistoryIsPurgedBySlots", historian(historyIsPurged)},
}

func historian(test func(*testing.T, durable.Historian)) func(*testing.T, durable.Store) {
	return func(t *testing.T, s durable.Store) {
		if h, is := s.(durable.Historian); is {
			test(t, h)
		}
	}
}

// endingOf is a confirmed end of r at that time. (A store does not compare the two times.)
func endingOf(r task.Row, endedMS int64) task.Ending {
	return task.Ending{Ref: r.Ref, How: task.EndConfirmed, EndedMS: endedMS, DeliveredMS: endedMS + 1, Attempt: 5, Worker: "host:1"}
}

func end(t *testing.T, s durable.Historian, ends ...task.Ending) []bool {
	t.Helper()
	deleted, err := s.End(t.Context(), ends)
	if err != nil || len(deleted) != len(ends) {
		t.Fatalf("End of %d tasks: %d answers, %v", len(ends), len(deleted), err)
	}
	return deleted
}

func history(t *testing.T, s durable.Historian, id string) []task.Ending {
	t.Helper()
	all, err := s.History(t.Context(), id, 1000)
	if err != nil {
		t.Fatalf("History of %q: %v", id, err)
	}
	return all
}

// keeps checks what is kept of an id.
func keeps(t *testing.T, s durable.Historian, id string, want ...task.Ending) {
	t.Helper()
	if got := history(t, s, id); !slices.Equal(got, want) {
		t.Errorf("the history of %q is %+v, want %+v", id, got, want)
	}
}

// endedTasksAreKept: the rows that End deletes are kept whole, once, and nothing is kept of others: of those whose ending is not to be
// kept, of versions that do not exist, and of what Delete deletes.
func endedTasksAreKept(t *testing.T, s durable.Historian) {
	a, b, c, d, e := row("a", 5, "payload"), row("é'\"\\", 6, ""), row("not kept", 7, ""), row("moved", 8, ""), row("plain", 9, "")
	create(t, s, a, b, c, d, e)
	ofA, ofB, ofC, old, absent := endingOf(a, task.SlotMS), endingOf(b, task.MaxDue), endingOf(c, 3), endingOf(d, 3), endingOf(row("absent", 1, ""), 3)
	ofA.Worker, ofA.Attempt = strings.Repeat("w", task.MaxWorker), 1 // the row knows of three attempts
	ofB.How, ofB.DeliveredMS, ofB.Worker = task.EndDeleted, 0, "\x00\xff'"
	ofC.How = 0
	old.Ver++
	ends := []task.Ending{old, ofA, absent, ofB, ofC}
	for _, want := range [][]bool{{false, true, false, true, true}, {false, false, false, false, false}} {
		if got := end(t, s, ends...); !slices.Equal(got, want) {
			t.Errorf("End answered %v, want %v", got, want)
		}
	}
	if _, err := s.Delete(t.Context(), []task.Ref{e.Ref}); err != nil {
		t.Fatal(err)
	}
	if left := scanAll(t, s, 10); len(left) != 1 || !same(left[0], d) {
		t.Errorf("left are %v, want %v alone", left, d)
	}
	keeps(t, s, a.ID, a.EndedAs(ofA))
	keeps(t, s, b.ID, b.EndedAs(ofB))
	if got := history(t, s, a.ID); len(got) == 1 && got[0].Attempt != 3 {
		t.Errorf("the history has attempt %d, and the row knew of 3", got[0].Attempt)
	}
	for _, id := range []string{c.ID, d.ID, e.ID, "absent", ""} {
		keeps(t, s, id)
	}
	if got := end(t, s); len(got) != 0 {
		t.Errorf("End of nothing answered %v", got)
	}
}

// whole is e with what the caller knows of its row: the store need not read it.
func whole(r task.Row, e task.Ending) task.Ending {
	e.DueMS, e.CreatedMS = r.DueMS, r.CreatedMS
	return e
}

// wholeEndingsAreKept: endings that have what is kept of their rows are kept as they are, whether all of the rows exist or some; and
// they may share a call with others.
func wholeEndingsAreKept(t *testing.T, s durable.Historian) {
	all := rows(60, func(i int) int64 { return int64(i) })
	create(t, s, all...)
	ends := make([]task.Ending, len(all))
	for i, r := range all {
		if ends[i] = endingOf(r, int64(i)); i < 40 || i%2 == 0 {
			ends[i] = whole(r, ends[i])
		}
	}
	ends[3].How = 0
	absent := whole(all[0], endingOf(row("absent", 1, ""), 5))
	moved := ends[7]
	moved.Ver++
	for _, part := range [][]task.Ending{{ends[0]}, ends[1:20], {absent}, append(slices.Clone(ends[20:40]), absent), {moved}, ends[40:], ends[:40]} {
		got := end(t, s, part...)
		for i, e := range part {
			if want := e != absent && e != moved && part[0] != ends[0] || len(part) == 1 && e == ends[0]; got[i] != want {
				t.Errorf("End of %d, the %d-th %+v: deleted %t, want %t", len(part), i, e, got[i], want)
			}
		}
	}
	for i, r := range all {
		if i != 3 {
			keeps(t, s, r.ID, r.EndedAs(ends[i]))
		}
	}
	keeps(t, s, all[3].ID)
	keeps(t, s, absent.ID)
}

// manyEndedTasksAreKept: a call of several statements keeps each of its tasks once.
func manyEndedTasksAreKept(t *testing.T, s durable.Historian) {
	all := rows(2300, func(i int) int64 { return int64(i) })
	create(t, s, all...)
	var ends []task.Ending
	for i, r := range all {
		if ends = append(ends, endingOf(r, int64(i)*task.SlotMS/100)); i > 1500 {
			ends[i] = whole(r, ends[i])
		}
	}
	if got := end(t, s, ends...); slices.Contains(got, false) {
		t.Errorf("End of %d rows has not deleted the %d-th", len(all), slices.Index(got, false))
	}
	for i := 0; i < len(all); i += 97 {
		keeps(t, s, all[i].ID, all[i].EndedAs(ends[i]))
	}
	if n, err := s.PurgeHistory(t.Context(), task.MaxDue, 5000); n != len(all) || err != nil {
		t.Errorf("%d are kept, %v, want %d", n, err, len(all))
	}
}

// historyIsNewestFirst: of one ID that was used many times the last ends come first, up to a limit, and no other ID is taken for it.
func historyIsNewestFirst(t *testing.T, s durable.Historian) {
	var want []task.Ending
	for i, ms := range []int64{0, 1, 2, task.SlotMS - 1, task.SlotMS, task.SlotMS + 5, 500 * task.SlotMS, 1200*task.SlotMS + 1} {
		for _, id := range []string{"a", "a/", "a\x01", "A", "b"} {
			r := row(id, int64(i), "")
			create(t, s, r)
			e := endingOf(r, ms)
			end(t, s, e)
			if id == "a" {
				want = append([]task.Ending{r.EndedAs(e)}, want...)
			}
		}
	}
	create(t, s, row("a", 1, "")) // and lives again
	for limit := 1; limit <= len(want)+1; limit++ {
		got, err := s.History(t.Context(), "a", limit)
		if err != nil || !slices.Equal(got, want[:min(limit, len(want))]) {
			t.Errorf("the last %d ends are %+v, %v, want %+v", limit, got, err, want[:min(limit, len(want))])
		}
	}
}

func endByIDKeeps(t *testing.T, s durable.Historian) {
	a, b := row("a", 10, "payload"), row("b", 20, "")
	create(t, s, a, b)
	to := task.Row{Ref: task.Ref{ID: "a", Ver: 77}, NextMS: 30, DueMS: 30}
	if ok, err := s.Move(t.Context(), a.Ref, to); !ok || err != nil {
		t.Fatalf("Move answered %v, %v", ok, err)
	}
	ofA, absent, ofB := endingOf(a, 40), endingOf(row("absent", 1, ""), 40), endingOf(b, 40)
	ofA.How, ofB.How = task.EndDeleted, 0
	moved := a
	moved.Ref, moved.PrevVer, moved.NextMS, moved.DueMS, moved.Attempt = to.Ref, a.Ver, 30, 30, 0
	got, err := s.EndByID(t.Context(), []task.Ending{ofA, absent, ofB})
	if err != nil || !SameDeleted(got, []task.Row{moved, b}) {
		t.Errorf("EndByID answered%s, %v; want%s", short(got), err, short([]task.Row{moved, b}))
	}
	keeps(t, s, "a", moved.EndedAs(ofA))
	keeps(t, s, "b")
	if got, err := s.EndByID(t.Context(), nil); len(got) != 0 || err != nil {
		t.Errorf("EndByID of nothing answered %v, %v", got, err)
	}
	many := rows(120, func(i int) int64 { return task.MaxDue }) // far, and never moved: a DeleteByID may not read them
	for round := range 2 {
		create(t, s, many...)
		ends := make([]task.Ending, len(many))
		for i, r := range many {
			ends[i] = endingOf(r, int64(50+round))
		}
		if got, err := s.EndByID(t.Context(), ends); len(got) != len(many) || err != nil {
			t.Errorf("EndByID of %d far rows answered %d, %v", len(many), len(got), err)
		}
	}
	for _, r := range many {
		if n := len(history(t, s, r.ID)); n != 2 {
			t.Fatalf("%d ends of %q are kept, want 2", n, r.ID)
		}
	}
}

func deadLettersAreKept(t *testing.T, s durable.Historian) {
	a, b, c := withHeaders("a", 5, "payload", `{"k":"v"}`), row("b", 6, ""), row("c", 6, "")
	create(t, s, a, b, c)
	var burials []task.Burial
	var ends []task.Ending
	for _, r := range []task.Row{a, b, row("absent", 1, "")} {
		bu, e := burialOf(r, 50), endingOf(r, 50)
		e.How, e.Attempt, e.Reason, e.LastError = task.EndDead, bu.Attempt, bu.Reason, strings.Repeat("é", task.MaxLastError/2)
		burials, ends = append(burials, bu), append(ends, e)
	}
	ends[1].How = 0
	for range 2 {
		if got, err := s.EndDead(t.Context(), burials, ends); err != nil || !slices.Equal(got, []bool{true, true, false}) {
			t.Errorf("EndDead answered %v, %v, want true, true, false", got, err)
		}
	}
	keeps(t, s, "a", a.EndedAs(ends[0]))
	keeps(t, s, "b")
	if dead := allDead(t, s, task.DeadFilter{}, 10); len(dead) != 2 || !sameDead(dead[0], letterOf(a, burials[0])) {
		t.Errorf("dead are %+v, want both, whole", dead)
	}
	if _, err := s.EndDead(t.Context(), burials, ends[:2]); !errors.Is(err, task.ErrInvalid) {
		t.Errorf("EndDead of three burials and two endings: %v, want ErrInvalid", err)
	}
	bury(t, s, burialOf(c, 51))
	keeps(t, s, "c")
}

// badEndingsAreRefused: nothing is deleted if one ending breaks a rule.
func badEndingsAreRefused(t *testing.T, s durable.Historian) {
	a, b := row("a", 1, ""), row("b", 1, "")
	create(t, s, a, b)
	for name, spoil := range map[string]func(*task.Ending){
		"how":         func(e *task.Ending) { e.How = task.EndDead + 1 },
		"early":       func(e *task.Ending) { e.EndedMS = -1 },
		"late":        func(e *task.Ending) { e.EndedMS = task.MaxDue + 1 },
		"delivered":   func(e *task.Ending) { e.DeliveredMS = -1 },
		"attempt":     func(e *task.Ending) { e.Attempt = -1 },
		"created":     func(e *task.Ending) { e.CreatedMS = -1 },
		"long worker": func(e *task.Ending) { e.Worker = strings.Repeat("x", task.MaxWorker+1) },
		"long reason": func(e *task.Ending) { e.Reason = strings.Repeat("x", task.MaxReason+1) },
		"long error":  func(e *task.Ending) { e.LastError = strings.Repeat("x", task.MaxLastError+1) },
	} {
		bad := endingOf(b, 1)
		spoil(&bad)
		both := []task.Ending{endingOf(a, 1), bad}
		_, err := s.End(t.Context(), both)
		_, byID := s.EndByID(t.Context(), both)
		_, dead := s.EndDead(t.Context(), []task.Burial{burialOf(a, 1), burialOf(b, 1)}, both)
		for act, err := range map[string]error{"End": err, "EndByID": byID, "EndDead": dead} {
			if !errors.Is(err, task.ErrInvalid) {
				t.Errorf("%s: %s answered %v, want ErrInvalid", name, act, err)
			}
		}
	}
	if n := len(get(t, s, "a", "b")); n != 2 {
		t.Errorf("%d rows are left, want 2", n)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for act, call := range map[string]func() error{
		"End":          func() error { _, err := s.End(ended, []task.Ending{endingOf(a, 1)}); return err },
		"History":      func() error { _, err := s.History(ended, "a", 1); return err },
		"PurgeHistory": func() error { _, err := s.PurgeHistory(ended, 1<<40, 1); return err },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s whose context has ended answered %v", act, err)
		}
	}
}

// eachEndIsKeptOnce: of many calls that end the same rows in different ways one takes each row, and what is kept says which.
func eachEndIsKeptOnce(t *testing.T, s durable.Historian) {
	all := rows(120, func(i int) int64 { return int64(i) })
	create(t, s, all...)
	var mu sync.Mutex
	won := map[string][]task.EndKind{}
	take := func(id string, how task.EndKind) {
		mu.Lock()
		defer mu.Unlock()
		won[id] = append(won[id], how)
	}
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := range 12 {
				endPart(t, s, task.EndKind(g%3+1), all[(i+2*g)%12*10:][:10], take)
			}
		})
	}
	wg.Wait()
	for _, d := range allDead(t, s, task.DeadFilter{}, 100) {
		take(d.ID, task.EndDead)
	}
	for _, r := range all {
		kept := history(t, s, r.ID)
		if len(won[r.ID]) != 1 || len(kept) != 1 || kept[0].How != won[r.ID][0] || kept[0].Ver != r.Ver {
			t.Errorf("task %q was ended as %v, and %+v is kept", r.ID, won[r.ID], kept)
		}
	}
	if left := scanAll(t, s, 1000); len(left) != 0 {
		t.Errorf("%d rows are left", len(left))
	}
}

// endPart ends rows in one way, and tells which of them it took.
func endPart(t *testing.T, s durable.Historian, how task.EndKind, part []task.Row, take func(string, task.EndKind)) {
	ends, burials := make([]task.Ending, len(part)), make([]task.Burial, len(part))
	for i, r := range part {
		if ends[i], burials[i] = endingOf(r, 9), burialOf(r, 9); r.Ver%2 == 0 {
			ends[i] = whole(r, ends[i])
		}
		ends[i].How = how
	}
	var err error
	switch how {
	case task.EndConfirmed:
		var deleted []bool
		deleted, err = s.End(t.Context(), ends)
		for i, d := range deleted {
			if d {
				take(part[i].ID, how)
			}
		}
	case task.EndDeleted:
		var deleted []task.Row
		deleted, err = s.EndByID(t.Context(), ends)
		for _, r := range deleted {
			take(r.ID, how)
		}
	case task.EndDead: // which of several calls has buried a row is not told
		_, err = s.EndDead(t.Context(), burials, ends)
	}
	if err != nil {
		t.Errorf("end as %s: %v", how, err)
	}
}

func historyIsPurged(t *testing.T, s durable.Historian) {
	all := rows(30, func(i int) int64 { return int64(i) })
	create(t, s, all...)
	var ends []task.Ending
	for i, r := range all {
		ends = append(ends, endingOf(r, int64(i/10)*task.SlotMS+int64(i%10)))
	}
	if n, err := s.PurgeHistory(t.Context(), task.MaxDue, 10); n != 0 || err != nil {
		t.Errorf("of no history %d were purged, %v", n, err)
	}
	end(t, s, ends...)
	left := func() (n int) {
		for _, r := range all {
			n += len(history(t, s, r.ID))
		}
		return n
	}
	for _, c := range []struct {
		beforeMS   int64
		most, gone int
		left       int
	}{{0, 100, 0, 30}, {task.SlotMS - 1, 100, 0, 30}, {task.SlotMS, 4, 4, 26}, {task.SlotMS + 1, 100, 6, 20}, {2*task.SlotMS + 9, 100, 10, 10}, {3 * task.SlotMS, 9, 9, 1}, {task.MaxDue, 9, 1, 0}} {
		n, err := s.PurgeHistory(t.Context(), c.beforeMS, c.most)
		if l := left(); n != c.gone || l != c.left || err != nil {
			t.Errorf("PurgeHistory of what ended by %d, at most %d, deleted %d and left %d, %v, want %d and %d", c.beforeMS, c.most, n, l, err, c.gone, c.left)
		}
	}
}
