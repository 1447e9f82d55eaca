package seal_test

import (
	"errors"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/seal"
	"github.com/triggerhook/triggerhook/triggerhooktest"
	"github.com/triggerhook/triggerhook/typed"
)

// A task that was sealed with the old key is updated by a process in which the new one is current. Queue.Update sets the header of
// the new key; a payload of Queue.Task under the header of the old one does not open, as the comment of Task says.
func TestAnUpdateAfterARotationOpens(t *testing.T) {
	s := triggerhooktest.New(t, triggerhook.Options{})
	keys := map[string][]byte{"11": key(1), "12": key(2)}
	queue := func(current string) *typed.Queue[string] {
		q, err := typed.New(s.Scheduler, codec(t, ring(t, current, keys)))
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	before, after := queue("11"), queue("12")
	if err := before.Create(t.Context(), "charge", s.Now().Add(time.Hour), "old"); err != nil {
		t.Fatal(err)
	}
	if err := after.Update(t.Context(), "charge", time.Time{}, "new"); err != nil {
		t.Fatal(err)
	}
	info := s.RequireCreated(t, "charge", triggerhooktest.Header(seal.KeyHeader, "12"), triggerhooktest.DueAt(s.Now().Add(time.Hour)))
	if v, err := before.Value(&info.Task); err != nil || v != "new" {
		t.Errorf("the value is %q, %v; want the new one", v, err)
	}
	alone, err := before.Task("charge", s.Now(), "newer")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), "charge", triggerhook.Change{Payload: alone.Payload}); err != nil {
		t.Fatal(err)
	}
	info = s.RequireCreated(t, "charge")
	if _, err := after.Value(&info.Task); !errors.Is(err, seal.ErrForged) || !errors.Is(err, typed.ErrDecode) {
		t.Errorf("a payload under the other key's header: %v, want %v and %v", err, seal.ErrForged, typed.ErrDecode)
	}
}
