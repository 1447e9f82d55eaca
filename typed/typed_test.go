package typed_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/typed"
)

type order struct {
	Number int
	Items  []string
}

// scheduler is one on an embedded pair of its own.
func scheduler(t *testing.T) *triggerhook.Scheduler {
	t.Helper()
	store, err := bolt.Open(filepath.Join(t.TempDir(), "tasks.bolt"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	set, err := local.New(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func queue[T any](t *testing.T, s *triggerhook.Scheduler, codec typed.Codec[T]) *typed.Queue[T] {
	t.Helper()
	q, err := typed.New(s, codec)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestAHandlerGetsTheValueThatWasCreated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scheduler(t)
		q := queue[order](t, s, nil)
		due := time.Now().Add(time.Hour)
		if err := q.Create(t.Context(), "17", due, order{17, []string{"tea"}}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		err := q.Handle(ctx, 1, func(_ context.Context, o order, d *triggerhook.Delivery) error {
			if o.Number != 17 || len(o.Items) != 1 || o.Items[0] != "tea" || d.ID != "17" || !d.Due.Equal(due) || d.Headers != nil || time.Now().Before(due) {
				t.Errorf("the handler got %+v of %+v, want order 17 with tea at %s", o, d.Task, due)
			}
			stop()
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if _, err := s.Get(t.Context(), "17"); !errors.Is(err, triggerhook.ErrNotFound) {
			t.Errorf("Get after it was handled: %v, want ErrNotFound", err)
		}
	})
}

// A payload of another process, or of another type, fails without its handler, and is offered again.
func TestWhatCannotBeDecodedFailsAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scheduler(t)
		if err := s.Create(t.Context(), &triggerhook.Task{ID: "strange", Due: time.Now(), Payload: []byte("{")}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		err := queue[order](t, s, nil).Handle(ctx, 1, func(context.Context, order, *triggerhook.Delivery) error {
			t.Error("its handler was called")
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		info, err := s.Get(t.Context(), "strange")
		if err != nil || string(info.Payload) != "{" {
			t.Errorf("Get: %+v, %v, want the task", info, err)
		}
	})
}

// A payload may be secret, and the error of a handler is logged.
func TestAnErrorOfJSONShowsNoValue(t *testing.T) {
	type card struct {
		Number int
		At     time.Time
	}
	for payload, want := range map[string]string{
		`{"Number":"4000"}`: `does not fit int, field "Number"`,
		`{"Number":4000.5}`: `does not fit int, field "Number"`,
		`{"At":"4000"}`:     "refused",
		`{"Number":4000x}`:  "wrong syntax at byte 15",
		"":                  "wrong syntax at byte 0",
	} {
		_, err := typed.JSON[card]{}.Decode(&triggerhook.Task{Payload: []byte(payload)})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "4000") {
			t.Errorf("%s: %v, want %q without the value", payload, err, want)
		}
	}
}

// refusing is a codec that fails.
type refusing struct{ typed.JSON[int] }

var errOdd = errors.New("odd")

func (refusing) Encode(*triggerhook.Task, int) error { return errOdd }

func TestWhatCannotBeEncodedIsNotCreated(t *testing.T) {
	s := scheduler(t)
	q := queue[int](t, s, refusing{})
	if err := q.Create(t.Context(), "a", time.Now(), 1); !errors.Is(err, triggerhook.ErrInvalid) || !errors.Is(err, errOdd) || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("Create: %v, want ErrInvalid with the codec's error and the id", err)
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, triggerhook.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	channels := queue[chan int](t, s, nil)
	if _, err := channels.Task("b", time.Now(), make(chan int)); !errors.Is(err, triggerhook.ErrInvalid) {
		t.Errorf("Task of what JSON cannot encode: %v, want ErrInvalid", err)
	}
}

func TestATaskWithoutAnIDGetsOne(t *testing.T) {
	s := scheduler(t)
	q := queue[int](t, s, nil)
	a, err := q.Task("", time.Now().Add(time.Hour), 1)
	if err != nil || len(a.ID) != 36 || string(a.Payload) != "1" {
		t.Fatalf("Task: %+v, %v, want an id", a, err)
	}
	b, err := q.Task("", time.Now().Add(time.Hour), 2)
	if err != nil || b.ID == a.ID {
		t.Fatalf("Task: %+v, %v, want another id than %s", b, err, a.ID)
	}
	if err := s.Create(t.Context(), a, b); err != nil {
		t.Fatal(err)
	}
	if err := q.Create(t.Context(), a.ID, time.Now(), 1); !errors.Is(err, triggerhook.ErrExists) {
		t.Errorf("Create of an id that exists: %v, want ErrExists", err)
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	if _, err := typed.New[int](nil, nil); !errors.Is(err, triggerhook.ErrInvalid) {
		t.Errorf("New without a scheduler: %v, want ErrInvalid", err)
	}
	q := queue[int](t, scheduler(t), nil)
	if err := q.Handle(t.Context(), 1, nil); !errors.Is(err, triggerhook.ErrInvalid) {
		t.Errorf("Handle without a handler: %v, want ErrInvalid", err)
	}
	if err := q.Handle(t.Context(), 0, func(context.Context, int, *triggerhook.Delivery) error { return nil }); !errors.Is(err, triggerhook.ErrInvalid) {
		t.Errorf("Handle with a concurrency of 0: %v, want ErrInvalid", err)
	}
	if err := q.Create(t.Context(), "a", time.Time{}.AddDate(20000, 0, 0), 1); !errors.Is(err, triggerhook.ErrInvalid) {
		t.Errorf("Create at a time out of range: %v, want ErrInvalid", err)
	}
}
