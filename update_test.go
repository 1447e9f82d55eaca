package triggerhook_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
)

func TestUpdateChangesWhatIsSetAlone(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{})
		is := triggerhook.Task{ID: "a", Due: time.Now().Add(time.Hour).Truncate(time.Second).UTC(), Payload: []byte("p"), Headers: map[string]string{"h": "v"}}
		create(t, sch, &is)
		for name, c := range map[string]triggerhook.Change{
			"due":        {Due: is.Due.Add(time.Minute)},
			"payload":    {Payload: []byte("a longer payload")},
			"headers":    {Headers: map[string]string{"n": "w", "o": ""}},
			"no payload": {Payload: []byte{}},
			"no headers": {Headers: map[string]string{}},
			"all":        {Due: is.Due.Add(-time.Minute), Payload: []byte("x"), Headers: map[string]string{"k": "l"}},
		} {
			if err := sch.Update(t.Context(), "a", c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !c.Due.IsZero() {
				is.Due = c.Due
			}
			if c.Payload != nil {
				is.Payload = c.Payload
			}
			if c.Headers != nil {
				is.Headers = c.Headers
			}
			got, err := sch.Get(t.Context(), "a")
			if err != nil || !got.Due.Equal(is.Due) || !got.Next.Equal(is.Due) || string(got.Payload) != string(is.Payload) || !maps.Equal(got.Headers, is.Headers) {
				t.Errorf("%s: after Update %+v, %v; want %+v", name, got, err, is)
			}
		}
	})
}

func TestABadChangeIsRefused(t *testing.T) {
	sch := embedded(t, 1).scheduler(t, triggerhook.Options{MaxPayload: 10})
	create(t, sch, &triggerhook.Task{ID: "a", Due: time.Now().Add(time.Hour), Payload: []byte("p")})
	for names, c := range map[string]triggerhook.Change{
		"sets nothing": {},
		"1970":         {Due: time.Unix(-5, 0), Payload: []byte("x")},
		"11 bytes":     {Payload: make([]byte, 11)},
		"key is empty": {Headers: map[string]string{"": "x"}, Payload: []byte("x")},
	} {
		if err := sch.Update(t.Context(), "a", c); !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), names) {
			t.Errorf("Update by %+v: %v, want ErrInvalid that names %q", c, err, names)
		}
	}
	if err := sch.Update(t.Context(), "", triggerhook.Change{Due: time.Now()}); !errors.Is(err, triggerhook.ErrInvalid) {
		t.Errorf("Update of no ID: %v", err)
	}
	if err := sch.Update(t.Context(), "b", triggerhook.Change{Due: time.Now()}); !errors.Is(err, triggerhook.ErrNotFound) {
		t.Errorf("Update of a task that is not there: %v", err)
	}
	if info, err := sch.Get(t.Context(), "a"); err != nil || string(info.Payload) != "p" {
		t.Errorf("after refused changes: %+v, %v", info, err)
	}
}

// A worker that has the task in hand cannot confirm it, and its next delivery has the new payload, also one that the
// hot set does not hold.
func TestWhatIsInHandIsDeliveredAgainAsItIsNow(t *testing.T) {
	onAll(t, func(t *testing.T, s stores) {
		t.Parallel()
		sch := s.scheduler(t, triggerhook.Options{})
		run(t, sch)
		create(t, sch, &triggerhook.Task{ID: "a", Due: time.Now(), Payload: []byte("old")})
		for _, payload := range []string{"new", strings.Repeat("long", 1000), "short"} {
			old := next(t, sch)
			if err := sch.Update(t.Context(), "a", triggerhook.Change{Payload: []byte(payload)}); err != nil {
				t.Fatal(err)
			}
			if err := old.Confirm(t.Context()); !errors.Is(err, triggerhook.ErrGone) {
				t.Errorf("Confirm of the old delivery: %v, want ErrGone", err)
			}
			d := next(t, sch)
			if string(d.Payload) != payload {
				t.Errorf("delivered with %.20q, want %.20q", d.Payload, payload)
			}
			if err := d.Rollback(t.Context(), 0); err != nil {
				t.Error(err)
			}
		}
	})
}
