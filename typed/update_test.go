package typed_test

import (
	"database/sql"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/typed"
)

// plain is a codec without headers, which encodes "" as an empty payload.
type plain struct{}

func (plain) Encode(t *triggerhook.Task, v string) error {
	if v == "refused" {
		return errOdd
	}
	if t.Payload = nil; v != "" {
		t.Payload = []byte(v)
	}
	return nil
}

func (plain) Decode(t *triggerhook.Task) (string, error) {
	if string(t.Payload) == "odd" {
		return "", errOdd
	}
	return string(t.Payload), nil
}

// marked also sets a header that belongs to its payload.
type marked struct{ plain }

func (m marked) Encode(t *triggerhook.Task, v string) error {
	t.Headers = map[string]string{"mark": v}
	return m.plain.Encode(t, v)
}

func TestUpdateSetsPayloadAndTheCodecsHeaders(t *testing.T) {
	s, due := scheduler(t), time.Now().Add(time.Hour).Truncate(time.Millisecond)
	for name, c := range map[string]struct {
		codec   typed.Codec[string]
		due     time.Time
		value   string
		headers map[string]string
	}{
		"without headers":          {plain{}, time.Time{}, "new", map[string]string{"mark": "old", "tenant": "acme"}},
		"with a header":            {marked{}, time.Time{}, "new", map[string]string{"mark": "new", "tenant": "acme"}},
		"with another due time":    {marked{}, due.Add(time.Hour), "new", map[string]string{"mark": "new", "tenant": "acme"}},
		"to one without a payload": {plain{}, time.Time{}, "", map[string]string{"mark": "old", "tenant": "acme"}},
	} {
		err := s.Create(t.Context(), &triggerhook.Task{ID: name, Due: due, Payload: []byte("old"), Headers: map[string]string{"mark": "old", "tenant": "acme"}})
		if err != nil {
			t.Fatal(err)
		}
		q, want := queue(t, s, c.codec), due
		if !c.due.IsZero() {
			want = c.due
		}
		err = q.Update(t.Context(), name, c.due, c.value)
		info, got := s.Get(t.Context(), name)
		v, wrong := q.Value(&info.Task)
		if err := errors.Join(err, got, wrong); err != nil || v != c.value || !maps.Equal(info.Headers, c.headers) || !info.Due.Equal(want) {
			t.Errorf("%s: the task is %+v with the value %q, %v; want %q, the headers %v and due %s", name, info.Task, v, err, c.value, c.headers, want)
		}
	}
}

func TestTheCallsOfAQueueSayWhatIsWrong(t *testing.T) {
	s, due := scheduler(t), time.Now().Add(time.Hour)
	q := queue[string](t, s, plain{})
	outcome, upsert := q.Upsert(t.Context(), triggerhook.Keep, "a", due, "refused")
	_, badMode := q.Upsert(t.Context(), triggerhook.OnConflict(0), "a", due, "v")
	_, odd := q.Value(&triggerhook.Task{Payload: []byte("odd")})
	_, none := q.Value(nil)
	for name, c := range map[string]struct{ got, want error }{
		"Upsert of what cannot be encoded":   {upsert, errOdd},
		"Upsert in no mode":                  {badMode, triggerhook.ErrInvalid},
		"Update of what cannot be encoded":   {q.Update(t.Context(), "a", due, "refused"), errOdd},
		"Update without an ID":               {q.Update(t.Context(), "", due, "v"), triggerhook.ErrInvalid},
		"Update of no task":                  {q.Update(t.Context(), "a", due, "v"), triggerhook.ErrNotFound},
		"Update of no task, with headers":    {queue[string](t, s, marked{}).Update(t.Context(), "a", due, "v"), triggerhook.ErrNotFound},
		"CreateTx of what cannot be encoded": {q.CreateTx(t.Context(), &sql.Tx{}, "a", due, "refused"), errOdd},
		"CreateTx without a transaction":     {q.CreateTx(t.Context(), nil, "a", due, "v"), triggerhook.ErrInvalid},
		"Value of what cannot be decoded":    {odd, typed.ErrDecode},
		"Value of nil":                       {none, triggerhook.ErrInvalid},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s answers %v, want %v", name, c.got, c.want)
		}
	}
	if outcome != 0 || !errors.Is(odd, errOdd) {
		t.Errorf("Upsert tells %v of what it refused, want 0; Value answers %v, want the codec's error too", outcome, odd)
	}
}
