package durabletest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

func movedRowsScan(t *testing.T, s durable.Store) {
	a, b := row("a", 10, ""), row("b", 20, "")
	create(t, s, a, b)
	to := a
	to.Ver, to.NextMS = 1, 30
	if ok, err := s.Move(t.Context(), a.Ref, to); !ok || err != nil {
		t.Fatalf("Move answered %v, %v", ok, err)
	}
	got := scanAll(t, s, 10)
	if len(got) != 2 || got[0].ID != "b" || got[1].NextMS != 30 {
		t.Errorf("scanned %v, want b at 20 and a at 30", got)
	}
}

func scanIsOrdered(t *testing.T, s durable.Store) {
	all := rows(1500, func(i int) int64 {
		if i%3 == 0 {
			return 777 // a third of them at one millisecond
		}
		return int64(i * 7919 % 1000)
	})
	create(t, s, all...)
	slices.SortFunc(all, func(a, b task.Row) int {
		if a.Cursor().Less(b.Cursor()) {
			return -1
		}
		return 1
	})
	for _, page := range []int{1000, 97} {
		got := scanAll(t, s, page)
		if len(got) != len(all) {
			t.Fatalf("pages of %d: %d rows, want %d", page, len(got), len(all))
		}
		for i := range got {
			if !same(got[i], all[i]) {
				t.Fatalf("pages of %d: row %d is %v, want %v", page, i, got[i], all[i])
			}
		}
	}
}

func scanLeavesLongPayloadsOut(t *testing.T, s durable.Store) {
	create(t, s, row("a", 1, "1234"), row("b", 2, "12345"), row("c", 3, ""))
	got, err := s.Scan(t.Context(), task.Cursor{}, 100, 10, 4)
	if err != nil || len(got) != 3 {
		t.Fatalf("Scan: %v, %v", got, err)
	}
	if string(got[0].Payload) != "1234" || got[1].Payload != nil || got[1].Size != 5 || got[2].Payload != nil || got[2].Size != 0 {
		t.Errorf("Scan with 4 bytes inline returned %+v", got)
	}
}

func scanBounds(t *testing.T, s durable.Store) {
	create(t, s, row("a", 10, ""), row("b", 10, ""), row("c", 11, ""), row("d", 12, ""))
	for _, c := range []struct {
		after task.Cursor
		below int64
		want  string
	}{
		{task.Cursor{}, 12, "abc"}, {task.Cursor{}, 10, ""}, {task.Cursor{NextMS: 10, ID: "a"}, 11, "b"},
		{task.Cursor{NextMS: 10}, 13, "abcd"}, {task.Cursor{NextMS: 10, ID: "zz"}, 100, "cd"}, {task.Cursor{NextMS: 12, ID: "d"}, 100, ""},
	} {
		got, err := s.Scan(t.Context(), c.after, c.below, 10, 0)
		var ids string
		for _, r := range got {
			ids += r.ID
		}
		if err != nil || ids != c.want {
			t.Errorf("Scan after %v below %d returned %q, %v; want %q", c.after, c.below, ids, err, c.want)
		}
	}
	if got, err := s.Scan(t.Context(), task.Cursor{}, 100, 2, 0); err != nil || len(got) != 2 {
		t.Errorf("Scan of at most 2 returned %v, %v", got, err)
	}
}

func idsAreBytes(t *testing.T, s durable.Store) {
	ids := []string{"A", "Z", "a", "a ", "a\t", "ae", "\u00e9", "e\u0301", "ß", "ss", "ä", "😀"}
	for _, id := range ids {
		create(t, s, row(id, 5, id))
	}
	slices.Sort(ids)
	for i, r := range scanAll(t, s, 3) {
		if r.ID != ids[i] || string(r.Payload) != ids[i] {
			t.Errorf("row %d has id %q, want %q", i, r.ID, ids[i])
		}
	}
	if n := len(get(t, s, "a")); n != 1 {
		t.Errorf("Get of \"a\" returned %d rows", n)
	}
}

func count(t *testing.T, s durable.Store) {
	if n, exact, err := s.Count(t.Context(), 10); n != 0 || !exact || err != nil {
		t.Errorf("Count of nothing: %d, %v, %v", n, exact, err)
	}
	create(t, s, rows(50, func(i int) int64 { return int64(i) })...)
	if n, exact, err := s.Count(t.Context(), 50); n != 50 || !exact || err != nil {
		t.Errorf("Count of 50 up to 50: %d, %v, %v", n, exact, err)
	}
	if n, exact, err := s.Count(t.Context(), 49); n < 50 || exact || err != nil {
		t.Errorf("Count of 50 up to 49: %d, %v, %v; want an estimate above 49", n, exact, err)
	}
}

// countBefore has rows at the ends of its ranges: the first time belongs to a range, and the last one does not.
func countBefore(t *testing.T, s durable.Store) {
	now := time.Now().UnixMilli()
	check := func(from int64, before []int64, want ...int64) {
		t.Helper()
		got, err := s.CountBefore(t.Context(), from, before, 100)
		if err != nil || len(got) != len(want) {
			t.Fatalf("CountBefore from %d before %d: %v, %v; want %d numbers", from, before, got, err, len(want))
		}
		for i, c := range got {
			if c.N != want[i] || !c.Exact {
				t.Errorf("CountBefore from %d before %d: %+v, want exactly %d", from, before[i], c, want[i])
			}
		}
	}
	check(0, []int64{0, now, task.MaxDue}, 0, 0, 0)
	var all []task.Row
	for i, at := range []int64{0, 1, now, now, now + 1, now + 10, now + 10, now + 10, now + 20} {
		all = append(all, row(fmt.Sprint(i), at, "payload"))
	}
	create(t, s, all...)
	check(0, []int64{0, 1, now, now + 1, now + 10, now + 11, now + 20, task.MaxDue}, 0, 1, 2, 4, 5, 8, 8, 9)
	check(now, []int64{1, now, now + 1, now + 1, now + 11}, 0, 0, 2, 2, 6)
	check(now+11, []int64{now, now + 20, now + 21}, 0, 0, 1)
	check(now+21, []int64{task.MaxDue}, 0)
	check(0, nil)
	if _, err := s.Delete(t.Context(), []task.Ref{all[4].Ref, all[5].Ref}); err != nil {
		t.Fatal(err)
	}
	check(now, []int64{now + 10, now + 11}, 2, 4)
}

// countBeforeItsLimit has more rows than the limit before some of its times, in this and in other ranges.
func countBeforeItsLimit(t *testing.T, s durable.Store) {
	now := time.Now().UnixMilli()
	create(t, s, rows(60, func(i int) int64 { return now + int64(i) })...)
	got, err := s.CountBefore(t.Context(), now+10, []int64{now, now + 20, now + 30, now + 31, now + 50, task.MaxDue}, 20)
	if err != nil || len(got) != 6 {
		t.Fatalf("CountBefore of six times: %v, %v", got, err)
	}
	for i, want := range []int64{0, 10, 20} {
		if got[i] != (task.Count{N: want, Exact: true}) {
			t.Errorf("number %d is %+v, want exactly %d", i, got[i], want)
		}
	}
	least := int64(21)
	for i, c := range got[3:] {
		if c.N < least || c.Exact && c.N != []int64{21, 40, 50}[i] {
			t.Errorf("number %d is %+v, want %d or an estimate of at least %d", i+3, c, []int64{21, 40, 50}[i], least)
		}
		least = c.N
	}
}

// advanceHidesNoRow has Advance called where many rows were deleted, also as if an hour had passed, and
// before and after rows that are due long ago are created and moved there.
func advanceHidesNoRow(t *testing.T, s durable.Store) {
	advance := func() {
		t.Helper()
		for _, ahead := range []time.Duration{0, time.Hour} {
			if err := s.Advance(t.Context(), time.Now().Add(ahead).UnixMilli()); err != nil {
				t.Fatalf("Advance: %v", err)
			}
		}
	}
	var want []string
	check := func(after string) {
		t.Helper()
		advance()
		var got []string
		for _, r := range scanAll(t, s, 10) {
			got = append(got, r.ID)
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("after %s rows %q are scanned, want %q", after, got, want)
		}
		if n, exact, err := s.Count(t.Context(), 100); int(n) != len(want) || !exact || err != nil {
			t.Errorf("after %s Count answers %d, %t, %v, want exactly %d", after, n, exact, err, len(want))
		}
	}
	now := time.Now().UnixMilli()
	dead := rows(2000, func(i int) int64 { return now - 3_600_000 + int64(i) })
	create(t, s, dead...)
	var refs []task.Ref
	for _, r := range dead {
		refs = append(refs, r.Ref)
	}
	if _, err := s.Delete(t.Context(), refs); err != nil {
		t.Fatal(err)
	}
	check("a deletion of all")
	late := row("late", now+100_000, "")
	create(t, s, row("now", now, ""), row("old", now-3_600_000+500, ""), late)
	want = append(want, "now", "old", "late")
	check("a creation of an old row")
	create(t, s, row("first", 1, ""))
	want = append(want, "first")
	check("a creation of the oldest row")
	to := late
	to.Ver, to.NextMS = late.Ver+1, now-3_600_000
	if ok, err := s.Move(t.Context(), late.Ref, to); !ok || err != nil {
		t.Fatalf("Move answered %t, %v", ok, err)
	}
	check("a move to an old time")
}
