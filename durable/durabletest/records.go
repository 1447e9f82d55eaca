package durabletest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// recorded returns what s records under name.
func recorded(t *testing.T, s durable.Store, name string) string {
	t.Helper()
	r, err := s.Records(t.Context())
	if err != nil {
		t.Fatalf("Records: %v", err)
	}
	return r.Values[name]
}

func recordsAreSwapped(t *testing.T, s durable.Store) {
	const name = "a record"
	for _, c := range []struct {
		old, to string
		swapped bool
		is      string
	}{
		{"first", "second", false, ""},
		{"", "new", true, "new"},
		{"", "first", false, "new"},
		{"", "new", true, "new"}, // a retry
		{"NEW", "first", false, "new"},
		{"new", "first", true, "first"},
		{"second", "first", true, "first"},
		{"first", "second", true, "second"},
		{"first", "second", true, "second"},
		{"second", "\x00 \xff", true, "\x00 \xff"},
		{"\x00 \xff", strings.Repeat("x", task.MaxRecord), true, strings.Repeat("x", task.MaxRecord)},
	} {
		if got, err := s.SwapRecord(t.Context(), name, c.old, c.to); got != c.swapped || err != nil {
			t.Errorf("SwapRecord(%q, %q) answered %t, %v; want %t", c.old, c.to, got, err, c.swapped)
		}
		if got := recorded(t, s, name); got != c.is {
			t.Errorf("after SwapRecord(%q, %q) %q is recorded, want %q", c.old, c.to, got, c.is)
		}
	}
	for _, c := range [][2]string{{"", "x"}, {"x", ""}, {strings.Repeat("n", task.MaxRecordName+1), "x"}, {"x", strings.Repeat("v", task.MaxRecord+1)}} {
		if ok, err := s.SwapRecord(t.Context(), c[0], "", c[1]); ok || !errors.Is(err, task.ErrInvalid) {
			t.Errorf("SwapRecord of %d bytes under a name of %d answered %t, %v; want ErrInvalid", len(c[1]), len(c[0]), ok, err)
		}
	}
}

// windowsAreSwapped: the window is recorded as feeders do it, with how long one waits. Who has
// read another wait than the one that is recorded changes nothing.
func windowsAreSwapped(t *testing.T, s durable.Store) {
	const small, large = 60_000, 86_400_000
	was := task.Window{}
	for _, c := range []struct {
		old, to task.Window
		swapped bool
	}{
		{task.Window{}, task.Window{AnnouncedMS: small}, true},
		{task.Window{AnnouncedMS: small}, task.Window{EffectiveMS: small, AnnouncedMS: small}, true},
		{task.Window{EffectiveMS: small, AnnouncedMS: small}, task.Window{EffectiveMS: small, AnnouncedMS: large}, true},
		{task.Window{EffectiveMS: small, AnnouncedMS: large}, task.Window{EffectiveMS: small, AnnouncedMS: large, WaitedMS: 1500}, true},
		{task.Window{EffectiveMS: small, AnnouncedMS: large}, task.Window{EffectiveMS: small, AnnouncedMS: large, WaitedMS: 1000}, false},
		{task.Window{EffectiveMS: small, AnnouncedMS: large, WaitedMS: 150}, task.Window{EffectiveMS: large, AnnouncedMS: large}, false},
		{task.Window{EffectiveMS: small, AnnouncedMS: large, WaitedMS: 1500}, task.Window{EffectiveMS: small, AnnouncedMS: large, WaitedMS: 69_999}, true},
		{task.Window{EffectiveMS: small, AnnouncedMS: large, WaitedMS: 69_999}, task.Window{EffectiveMS: large, AnnouncedMS: large}, true},
		{task.Window{EffectiveMS: small, AnnouncedMS: large, WaitedMS: 69_999}, task.Window{EffectiveMS: small, AnnouncedMS: large, WaitedMS: 70_001}, false},
	} {
		swapped, err := s.SwapRecord(t.Context(), task.RecordWindow, text(t, c.old), text(t, c.to))
		if swapped != c.swapped || err != nil {
			t.Errorf("SwapRecord of %+v by %+v, where %+v is recorded, answered %t, %v; want %t", c.old, c.to, was, swapped, err, c.swapped)
		}
		if c.swapped {
			was = c.to
		}
		all, err := s.Records(t.Context())
		if err != nil {
			t.Fatalf("Records: %v", err)
		}
		if got, err := all.Window(); got != was || err != nil {
			t.Errorf("recorded is %+v, %v; want %+v", got, err, was)
		}
	}
}

// text is how w is recorded, "" for none.
func text(t *testing.T, w task.Window) string {
	t.Helper()
	if w == (task.Window{}) {
		return ""
	}
	b, err := w.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func recordsAreApart(t *testing.T, s durable.Store) {
	for i := range 3 {
		if ok, err := s.SwapRecord(t.Context(), task.GenerationName(i), "", fmt.Sprint("value ", i)); !ok || err != nil {
			t.Fatalf("SwapRecord: %t, %v", ok, err)
		}
	}
	for i := range 3 {
		if got, want := recorded(t, s, task.GenerationName(i)), fmt.Sprint("value ", i); got != want {
			t.Errorf("record %d is %q, want %q", i, got, want)
		}
	}
}

func oneSwapperWins(t *testing.T, s durable.Store) {
	const name = "a record"
	old := ""
	for round := range 5 {
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				ok, err := s.SwapRecord(t.Context(), name, old, fmt.Sprintf("%d of round %d", i, round))
				if err != nil && !errors.Is(err, task.ErrUnavailable) {
					t.Errorf("SwapRecord: %v", err)
				}
				if ok {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		is := recorded(t, s, name)
		if won.Load() != 1 || is == old {
			t.Fatalf("of 8 that swapped %q at once %d have done so; it is %q", old, won.Load(), is)
		}
		old = is
	}
}

// identityIsMadeOnce: Migrate makes the identity, and no later one changes it.
func identityIsMadeOnce(t *testing.T, s durable.Store) {
	first := recorded(t, s, task.RecordIdentity)
	if len(first) < 20 || len(first) > 64 {
		t.Errorf("the identity is %q, want 20 to 64 random letters and digits", first)
	}
	for range 2 {
		if err := s.Migrate(t.Context(), 4); err != nil {
			t.Fatalf("Migrate: %v", err)
		}
		if got := recorded(t, s, task.RecordIdentity); got != first {
			t.Errorf("after one more Migrate the identity is %q, want %q", got, first)
		}
	}
}
