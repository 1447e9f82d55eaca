package durabletest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// finding are the claims about what finds many rows, and changes more of a row than its time.
var finding = []claim{
	{"ReplaceSetsEverything", replaceSetsEverything},
	{"MoveManyMovesEachRowOnItsOwn", moveManyMovesEach},
	{"MoveManyOfManyRows", moveManyRows},
	{"OneOfManyMoversWins", oneMoverWins},
	{"UpsertOfNewRowsCreatesThem", upsertOfNewRows},
	{"UpsertOfStoredRowsDoesWhatItsModeSays", upsertOfStoredRows},
	{"ReplaceByTheSameKeeps", replaceByTheSameKeeps},
	{"UpsertAsksForThePreviousVersion", upsertAsksForThePreviousVersion},
	{"UpsertOfManyRowsIsOneCommit", upsertMany},
	{"UpsertsThatMeetGoOneAfterAnother", upsertsMeet},
	{"ScanDownIsScanReversed", scanDownIsScanReversed},
	{"ScanDownBoundsAreExact", scanDownBounds},
	{"ScanIDsIsOrderedAndWhole", scanIDsIsWhole},
	{"ARangeIsCountedAndListedWhole", aRangeIsCountedAndListedWhole},
}

// scanDownIsScanReversed: pages of any size, which end in the middle of a millisecond too.
func scanDownIsScanReversed(t *testing.T, s durable.Store) {
	create(t, s, rows(250, func(i int) int64 { return int64(i % 7 * 10) })...)
	want := scanAll(t, s, 1000)
	slices.Reverse(want)
	for _, page := range []int{1, 9, 250, 1000} {
		var got []task.Row
		for at := (task.Cursor{NextMS: task.MaxDue + 1}); ; at = got[len(got)-1].Cursor() {
			rows, err := s.ScanDown(t.Context(), at, 0, page, 1<<20)
			if err != nil {
				t.Fatalf("ScanDown before %v: %v", at, err)
			}
			if got = append(got, rows...); len(rows) < page {
				break
			}
		}
		if !slices.EqualFunc(got, want, same) {
			t.Errorf("ScanDown in pages of %d returned %d rows, which are not those of Scan reversed", page, len(got))
		}
	}
}

func scanDownBounds(t *testing.T, s durable.Store) {
	create(t, s, row("a", 10, ""), row("b", 10, ""), row("c", 20, ""), row("d", 30, "longer"))
	for _, c := range []struct {
		before task.Cursor
		from   int64
		want   string
	}{
		{task.Cursor{NextMS: 31}, 0, "dcba"}, {task.Cursor{NextMS: 30}, 0, "cba"}, {task.Cursor{NextMS: 30}, 10, "cba"},
		{task.Cursor{NextMS: 30}, 11, "c"}, {task.Cursor{NextMS: 10, ID: "b"}, 0, "a"}, {task.Cursor{NextMS: 10, ID: "a"}, 0, ""},
		{task.Cursor{NextMS: 30, ID: "z"}, 30, "d"}, {task.Cursor{NextMS: 30, ID: "d"}, 30, ""}, {task.Cursor{}, 0, ""},
	} {
		rows, err := s.ScanDown(t.Context(), c.before, c.from, 10, 3)
		if got := joined(rows); err != nil || got != c.want {
			t.Errorf("ScanDown before %+v from %d returned %q, %v; want %q", c.before, c.from, got, err, c.want)
		}
		for _, r := range rows {
			if (r.ID == "d") != r.Cut() {
				t.Errorf("payload of %q left out: %v; want only those of more than 3 bytes", r.ID, r.Cut())
			}
		}
	}
}

func joined(rows []task.Row) string {
	var all strings.Builder
	for _, r := range rows {
		all.WriteString(r.ID)
	}
	return all.String()
}

// scanIDsIsWhole: each row of the prefix comes once, in the order of bytes, and no row of a neighbour does.
func scanIDsIsWhole(t *testing.T, s durable.Store) {
	var ids []string
	for i := range 120 {
		ids = append(ids, fmt.Sprintf("é/%03d", i))
	}
	others := []string{"é", "é.", "é0", "e/1", "É/1", "ê/1", "é/", "é/\U0010ffff", "é/é/1"}
	for i, id := range slices.Concat(ids, others) {
		create(t, s, row(id, int64(1000-i), "payload"))
	}
	want := append(slices.Clone(ids), others[6:]...)
	slices.Sort(want)
	all := task.Range{IDPrefix: "é/", BelowMS: task.MaxDue + 1}
	for _, limit := range []int{1, 50, 1000} {
		var got []string
		for _, r := range scanIDs(t, s, all, limit) {
			if got = append(got, r.ID); !r.Cut() || r.DueMS != r.NextMS-1 || r.Attempt != 3 {
				t.Fatalf("ScanIDs returned %+v, want the row without its payload", r)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("ScanIDs in pages of %d returned %q, want %q", limit, got, want)
		}
	}
	page, err := s.ScanIDs(t.Context(), all, "", 1, 7)
	if err != nil || len(page.Rows) != 1 || string(page.Rows[0].Payload) != "payload" || page.Next != page.Rows[0].ID || !page.More {
		t.Errorf("ScanIDs with payloads: %+v, %v", page, err)
	}
	all.IDPrefix = "nothing"
	if page, err := s.ScanIDs(t.Context(), all, "", 10, 7); err != nil || len(page.Rows) != 0 || page.More {
		t.Errorf("ScanIDs of a prefix that no ID has: %+v, %v", page, err)
	}
}

// scanIDs reads all pages.
func scanIDs(t *testing.T, s durable.Store, r task.Range, limit int) (all []task.Row) {
	t.Helper()
	for page := (task.IDPage{More: true}); page.More; {
		at := page.Next
		var err error
		if page, err = s.ScanIDs(t.Context(), r, at, limit, 3); err != nil {
			t.Fatalf("ScanIDs after %q: %v", at, err)
		}
		if len(page.Rows) > limit || page.More && page.Next <= at {
			t.Fatalf("ScanIDs after %q, at most %d, returned %d rows, and %q is next", at, limit, len(page.Rows), page.Next)
		}
		all = append(all, page.Rows...)
	}
	return all
}

// aRangeIsCountedAndListedWhole: the rows of a time among the IDs of a prefix, where those are more than a store looks at in one call.
func aRangeIsCountedAndListedWhole(t *testing.T, s durable.Store) {
	const n, lot = 21_000, 1000
	for from := 0; from < n; from += lot {
		some := make([]task.Row, lot)
		for i := range some {
			k := from + i
			some[i] = row(fmt.Sprintf("a/%05d", k), int64(k*11%n/10), "")
		}
		create(t, s, some...)
	}
	create(t, s, row("b/1", 5, ""), row("Z", 1500, ""), row("a/99999", 3000, ""))
	for _, c := range []struct {
		r    task.Range
		want int
	}{
		{task.Range{IDPrefix: "a/", BelowMS: task.MaxDue + 1}, n + 1}, {task.Range{BelowMS: task.MaxDue + 1}, n + 3},
		{task.Range{IDPrefix: "a/", FromMS: 7, BelowMS: 9}, 20}, {task.Range{FromMS: 5, BelowMS: 7}, 21}, {task.Range{FromMS: 2000, BelowMS: 2101}, 1000},
		{task.Range{IDPrefix: "a/", FromMS: 7, BelowMS: 9, NotMS: 8}, 10}, {task.Range{FromMS: 5, BelowMS: 7, NotMS: 5}, 10},
		{task.Range{IDPrefix: "a/", FromMS: 2100, BelowMS: 2200}, 0}, {task.Range{IDPrefix: "a/", FromMS: 998, BelowMS: 999}, 10}, {task.Range{IDPrefix: "a/", FromMS: 3000, BelowMS: 3001}, 1}, {task.Range{IDPrefix: "c/", BelowMS: 9}, 0}, {task.Range{IDPrefix: "a/0000", FromMS: 1, BelowMS: 9}, 8},
	} {
		got, calls := 0, 0
		for page := (task.CountPage{More: true}); page.More; calls++ {
			var err error
			if page, err = s.CountPage(t.Context(), c.r, page.Next); err != nil {
				t.Fatalf("CountPage of %+v: %v", c.r, err)
			}
			got += page.N
		}
		if got != c.want || calls > 3 {
			t.Errorf("CountPage of %+v counts %d in %d calls, want %d in at most 3", c.r, got, calls, c.want)
		}
		if c.r.IDPrefix == "" || c.r.NotMS != 0 {
			continue
		}
		if rows := scanIDs(t, s, c.r, 1000); len(rows) != c.want || !slices.IsSortedFunc(rows, func(a, b task.Row) int { return strings.Compare(a.ID, b.ID) }) ||
			slices.ContainsFunc(rows, func(r task.Row) bool { return r.NextMS < c.r.FromMS || r.NextMS >= c.r.BelowMS }) {
			t.Errorf("ScanIDs of %+v returned %d rows, want %d of that time in the order of their IDs", c.r, len(rows), c.want)
		}
	}
}
