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
	for _, page := range []int{1, 50, 1000} {
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			rows, err := s.ScanIDs(t.Context(), "é/", after, page, 3)
			if err != nil {
				t.Fatalf("ScanIDs after %q: %v", after, err)
			}
			for _, r := range rows {
				got = append(got, r.ID)
				if !r.Cut() || r.DueMS != r.NextMS-1 || r.Attempt != 3 {
					t.Fatalf("ScanIDs returned %+v, want the row without its payload", r)
				}
			}
			if len(rows) < page {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("ScanIDs in pages of %d returned %q, want %q", page, got, want)
		}
	}
	rows, err := s.ScanIDs(t.Context(), "é/", "", 1, 7)
	if err != nil || len(rows) != 1 || string(rows[0].Payload) != "payload" {
		t.Errorf("ScanIDs with payloads: %v, %v", rows, err)
	}
	if rows, err := s.ScanIDs(t.Context(), "nothing", "", 10, 7); err != nil || len(rows) != 0 {
		t.Errorf("ScanIDs of a prefix that no ID has: %v, %v", rows, err)
	}
}
