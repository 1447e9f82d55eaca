package dashboard

import (
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
)

// The entries of a list, the places of some of which are not known, because workers have them.
func TestPagesLeadThroughEntriesWhosePlaceIsNotKnown(t *testing.T) {
	base := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, unknown := range map[string]func(i int) bool{"none": func(int) bool { return false }, "all": func(int) bool { return true },
		"every second": func(i int) bool { return i%2 == 1 }, "long runs": func(i int) bool { return i/70%2 == 1 }, "the end of a page": func(i int) bool { return i%50 > 40 }} {
		for _, perTime := range []int{1, 7, 300} {
			var all []entry
			for i := range 300 {
				e := entry{id: fmt.Sprintf("%03d", i), least: base.Add(time.Duration(i/perTime) * time.Second)}
				if !unknown(i) {
					e.at = e.least
				}
				all = append(all, e)
			}
			var got []string
			for c, pages := (&cursor{}), 0; c != nil; pages++ {
				if pages > 10 {
					t.Fatalf("%s, %d at a time: the list does not end", name, perTime)
				}
				var items []entry
				var err error
				if items, c, err = collect(from(all, *c), *c, func(e entry) entry { return e }); err != nil {
					t.Fatal(err)
				}
				for _, e := range items {
					got = append(got, e.id)
				}
			}
			if len(got) != 300 || !slices.IsSorted(got) {
				t.Errorf("%s, %d at a time: got %d entries %v, want each of 300 once", name, perTime, len(got), got)
			}
		}
	}
}

// from reads all from the time of a cursor on, as List does.
func from(all []entry, c cursor) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		for _, e := range all {
			if !e.least.Before(c.at) && !yield(e, nil) {
				return
			}
		}
	}
}

func TestThePlaceOfATaskIsKnownUnlessTheHotSetMayHaveAnother(t *testing.T) {
	due := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	later := due.Add(time.Minute)
	for _, c := range []struct {
		state triggerhook.State
		next  time.Time
		want  time.Time
	}{{triggerhook.Scheduled, later, later}, {triggerhook.Unknown, later, later}, {triggerhook.Preloaded, due, due}, {triggerhook.Preloaded, later, time.Time{}}, {triggerhook.InFlight, time.Time{}, time.Time{}}} {
		e := entryOf(triggerhook.Info{Task: triggerhook.Task{ID: "a", Due: due}, State: c.state, Next: c.next})
		if !e.at.Equal(c.want) || !e.least.Equal(due) {
			t.Errorf("%v, next offered %v: got %+v, want the place %v", c.state, c.next, e, c.want)
		}
	}
}
