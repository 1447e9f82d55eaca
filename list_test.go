package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// create creates tasks, which succeeds.
func create(t *testing.T, s *triggerhook.Scheduler, tasks ...*triggerhook.Task) {
	t.Helper()
	if err := s.Create(t.Context(), tasks...); err != nil {
		t.Fatalf("Create of %d tasks: %v", len(tasks), err)
	}
}

// listed returns the IDs that List yields.
func listed(t *testing.T, s *triggerhook.Scheduler, f triggerhook.Filter) (ids []string) {
	t.Helper()
	for info, err := range s.List(t.Context(), f) {
		if err != nil {
			t.Fatalf("List of %+v: %v", f, err)
		}
		ids = append(ids, info.ID)
	}
	return ids
}

func TestListSelectsByEachField(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{})
		base := time.Now().Add(time.Hour).Truncate(time.Second)
		header := func(pairs ...string) map[string]string {
			h := map[string]string{}
			for i := 0; i < len(pairs); i += 2 {
				h[pairs[i]] = pairs[i+1]
			}
			return h
		}
		create(t, sch,
			&triggerhook.Task{ID: "c-42/b", Due: base},
			&triggerhook.Task{ID: "c-42/a", Due: base.Add(2 * time.Second), Headers: header("tenant", "x", "kind", "mail")},
			&triggerhook.Task{ID: "c-420/a", Due: base, Headers: header("tenant", "x"), Payload: make([]byte, 60_000)},
			&triggerhook.Task{ID: "c-7/a", Due: base.Add(time.Second), Headers: header("tenant", "y")},
		)
		for _, c := range []struct {
			f    triggerhook.Filter
			want string
		}{
			{triggerhook.Filter{}, "c-42/b c-420/a c-7/a c-42/a"},
			{triggerhook.Filter{IDPrefix: "c-42/"}, "c-42/a c-42/b"},
			{triggerhook.Filter{IDPrefix: "c-42"}, "c-42/a c-42/b c-420/a"},
			{triggerhook.Filter{IDPrefix: "c-42", DueFrom: base.Add(time.Millisecond)}, "c-42/a"},
			{triggerhook.Filter{IDPrefix: "c-42", DueBefore: base.Add(time.Second)}, "c-42/b c-420/a"},
			{triggerhook.Filter{DueFrom: base, DueBefore: base.Add(time.Millisecond)}, "c-42/b c-420/a"},
			{triggerhook.Filter{DueFrom: base.Add(time.Second)}, "c-7/a c-42/a"},
			{triggerhook.Filter{DueBefore: base}, ""},
			{triggerhook.Filter{IDPrefix: "c-", DueBefore: base.Add(time.Second)}, "c-42/b c-420/a"},
			{triggerhook.Filter{Headers: header("tenant", "x")}, "c-420/a c-42/a"},
			{triggerhook.Filter{Headers: header("tenant", "x", "kind", "mail")}, "c-42/a"},
			{triggerhook.Filter{Headers: header("tenant", "")}, ""},
			{triggerhook.Filter{IDPrefix: "c-7/a"}, "c-7/a"},
		} {
			if got := strings.Join(listed(t, sch, c.f), " "); got != c.want {
				t.Errorf("List of %+v: %q, want %q", c.f, got, c.want)
			}
		}
	})
}

// What List yields is what Get answers, also where payloads are left out of a page, because it has too many bytes.
func TestListYieldsWhatGetAnswers(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{MaxPayload: 1 << 20})
		var all []*triggerhook.Task
		for i := range 40 { // 12 MB, which is more than one page has
			all = append(all, &triggerhook.Task{ID: fmt.Sprintf("task-%03d", i), Due: time.Now().Add(time.Duration(i) * time.Minute),
				Payload: []byte(strings.Repeat(fmt.Sprint(i%10), i%3*300_000)), Headers: map[string]string{"n": fmt.Sprint(i)}})
		}
		begun := time.Now().Truncate(time.Millisecond)
		create(t, sch, all...)
		n := 0
		for info, err := range sch.List(t.Context(), triggerhook.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			want := *all[n]
			whole(t, "List", info.Task, want)
			got, err := sch.Get(t.Context(), want.ID)
			if err != nil || got.State != info.State || !got.Next.Equal(info.Next) || got.Attempt != info.Attempt || !got.Due.Equal(info.Due) || got.Created != info.Created ||
				info.Created.Before(begun) || info.Created.After(time.Now()) {
				t.Errorf("List yields %s, attempt %d, next %s, due %s of %q; Get answers %+v, %v", info.State, info.Attempt, info.Next, info.Due, info.ID, got, err)
			}
			n++
		}
		if n != len(all) {
			t.Errorf("List yielded %d tasks, want %d", n, len(all))
		}
	})
}

func TestListTellsWhatIsInFlight(t *testing.T) {
	sch := embedded(t, 2).scheduler(t, triggerhook.Options{})
	run(t, sch)
	create(t, sch, &triggerhook.Task{ID: "now", Due: time.Now()}, &triggerhook.Task{ID: "later", Due: time.Now().Add(24 * time.Hour)})
	d := next(t, sch)
	defer d.ConfirmAsync()
	want := map[string]triggerhook.State{"now": triggerhook.InFlight, "later": triggerhook.Scheduled}
	for info, err := range sch.List(t.Context(), triggerhook.Filter{}) {
		if err != nil || info.State != want[info.ID] {
			t.Errorf("List yields %q %s, %v; want %s", info.ID, info.State, err, want[info.ID])
		}
	}
}

func TestAFilterThatBreaksARuleIsRefused(t *testing.T) {
	sch := embedded(t, 1).scheduler(t, triggerhook.Options{})
	now := time.Now()
	for name, c := range map[string]struct {
		f     triggerhook.Filter
		names string
	}{
		"too long":     {triggerhook.Filter{IDPrefix: strings.Repeat("x", task.MaxID+1)}, "129 bytes"},
		"not UTF-8":    {triggerhook.Filter{IDPrefix: "a\xff"}, `"a\xff"`},
		"NUL":          {triggerhook.Filter{IDPrefix: "a\x00"}, "NUL"},
		"from 1960":    {triggerhook.Filter{DueFrom: time.Unix(-1e9, 0)}, "DueFrom"},
		"until 10000":  {triggerhook.Filter{DueBefore: time.UnixMilli(task.MaxDue + 2)}, "DueBefore"},
		"no time":      {triggerhook.Filter{DueFrom: now, DueBefore: now}, "is not before"},
		"empty header": {triggerhook.Filter{Headers: map[string]string{"": "x"}}, "Headers"},
	} {
		n := 0
		for info, err := range sch.List(t.Context(), c.f) {
			if n++; !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), c.names) || info.ID != "" {
				t.Errorf("%s: List yields %q, %v; want ErrInvalid that names %s", name, info.ID, err, c.names)
			}
		}
		if n != 1 {
			t.Errorf("%s: List yields %d times, want one error", name, n)
		}
	}
}

func TestListEndsWithItsLoopAndItsContext(t *testing.T) {
	s := embedded(t, 1)
	noted := &calls{}
	s.store = notedStore{s.store, noted}
	sch := s.scheduler(t, triggerhook.Options{})
	var all []*triggerhook.Task
	for i := range 2000 {
		all = append(all, &triggerhook.Task{ID: fmt.Sprint(i), Due: time.Now().Add(time.Hour + time.Duration(i)*time.Second)})
	}
	create(t, sch, all...)
	noted.take()
	for range sch.List(t.Context(), triggerhook.Filter{DueFrom: time.Now()}) {
		break
	}
	if got := noted.take(); len(slices.DeleteFunc(got, func(c string) bool { return c != "Scan" })) != 1 {
		t.Errorf("a loop that ends at the first task has read %q, want one page", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, last := 0, error(nil)
	for _, err := range sch.List(ctx, triggerhook.Filter{}) {
		cancel()
		n, last = n+1, err
	}
	if !errors.Is(last, context.Canceled) || n > 1001 {
		t.Errorf("List went on for %d tasks after its context had ended: %v", n, last)
	}
}
