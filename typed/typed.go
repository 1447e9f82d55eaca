// Package typed gives the tasks of a namespace a Go type: a Queue creates tasks from values of a
// type T, and its handlers get such values. How a value becomes a payload is the Codec's affair,
// JSON by default; package seal has one that encrypts.
//
// A Queue is thin: it makes a triggerhook.Task of a value, and a value of a delivery. What
// Scheduler.Create and Scheduler.Handle promise holds here too. All tasks of a namespace have one type, because
// Handle gets all of them; for several types use several namespaces, or a type T that holds either.
package typed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/triggerhook/triggerhook"
)

// ErrDecode is in the error of a delivery whose payload its Codec could not read.
var ErrDecode = errors.New("the payload cannot be decoded")

// Codec turns a value into the payload and headers of a task, and back. Many goroutines use one at once.
type Codec[T any] interface {
	// Encode sets t.Payload to what v is encoded as, and may set headers of its own in t.Headers, which it
	// makes if it is nil. The caller has set t.ID and t.Due, and Encode does not change them.
	Encode(t *triggerhook.Task, v T) error
	// Decode returns the value that Encode has put into t. It does not change t, and the value shares no
	// memory with t.Payload.
	Decode(t *triggerhook.Task) (T, error)
}

// JSON is the Codec that encodes values with encoding/json. It sets no headers. Its zero value works.
type JSON[T any] struct{}

// Encode implements Codec.
func (JSON[T]) Encode(t *triggerhook.Task, v T) (err error) {
	t.Payload, err = json.Marshal(v)
	return err
}

// Decode implements Codec. Its error shows nothing of the payload, because Handle logs it.
func (JSON[T]) Decode(t *triggerhook.Task) (v T, err error) {
	if err := json.Unmarshal(t.Payload, &v); err != nil {
		return v, withoutValue(err)
	}
	return v, nil
}

// withoutValue says where and why json.Unmarshal failed. The texts of its own errors, and of those
// that UnmarshalJSON and UnmarshalText return, may show the value.
func withoutValue(err error) error {
	var syntax *json.SyntaxError
	var fit *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("json: wrong syntax at byte %d", syntax.Offset)
	case errors.As(err, &fit):
		return fmt.Errorf("json: at byte %d: a value that does not fit %s, field %q", fit.Offset, fit.Type, fit.Field)
	}
	return fmt.Errorf("json: a value is refused with a %T", err)
}

// Queue creates and handles tasks that hold values of type T.
type Queue[T any] struct {
	s     *triggerhook.Scheduler
	codec Codec[T]
}

// New returns a Queue on the namespace of s. A nil codec is JSON. triggerhook.ErrInvalid: s is nil.
func New[T any](s *triggerhook.Scheduler, codec Codec[T]) (*Queue[T], error) {
	if s == nil {
		return nil, fmt.Errorf("new queue: %w: the scheduler is nil", triggerhook.ErrInvalid)
	}
	if codec == nil {
		codec = JSON[T]{}
	}
	return &Queue[T]{s: s, codec: codec}, nil
}

// Task returns a task that holds v, without creating it: several of them go into one
// Scheduler.Create. If id is empty the task gets a new UUIDv7. The error is the Codec's, with
// triggerhook.ErrInvalid.
//
// Do not take the payload of such a task for a Scheduler.Update: a Codec may also set headers, which belong to the
// payload. With package seal a payload under the header of an older key cannot be opened (seal.ErrForged). Use Update.
func (q *Queue[T]) Task(id string, due time.Time, v T) (*triggerhook.Task, error) {
	t := &triggerhook.Task{ID: id, Due: due}
	if id == "" {
		made, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make an id: %w", err)
		}
		t.ID = made.String()
	}
	if err := q.encode(t, v); err != nil {
		return nil, err
	}
	return t, nil
}

// Create stores one task that holds v. If id is empty the task gets one that only its handler
// learns; to know it before, use Task. Its errors are those of Task and of Scheduler.Create.
func (q *Queue[T]) Create(ctx context.Context, id string, due time.Time, v T) error {
	t, err := q.Task(id, due, v)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	return q.s.Create(ctx, t)
}

// CreateTx is Create in a transaction of the caller's own, as Scheduler.CreateTx is.
func (q *Queue[T]) CreateTx(ctx context.Context, tx triggerhook.Tx, id string, due time.Time, v T) error {
	t, err := q.Task(id, due, v)
	if err != nil {
		return fmt.Errorf("create in a transaction: %w", err)
	}
	return q.s.CreateTx(ctx, tx, t)
}

// Upsert is Scheduler.Upsert of one task that holds v. Its errors are those of Task and of Scheduler.Upsert; the outcome is 0 if nothing is known of it.
func (q *Queue[T]) Upsert(ctx context.Context, on triggerhook.OnConflict, id string, due time.Time, v T) (triggerhook.UpsertOutcome, error) {
	t, err := q.Task(id, due, v)
	if err != nil {
		return 0, fmt.Errorf("upsert: %w", err)
	}
	done, err := q.s.Upsert(ctx, on, t)
	if len(done) == 0 {
		return 0, err
	}
	return done[0], err
}

// Update gives a task another value, and another due time unless due is zero, as Scheduler.Update does. It also sets the headers that the
// Codec sets (package seal: the key's ID), which a Scheduler.Update of the payload alone would leave as they were. Other headers stay; if the
// Codec sets any, Update reads the task first, and a change of headers by another call at that moment is lost. Its errors are those of Task and
// of Scheduler.Update, and an empty id is triggerhook.ErrInvalid.
func (q *Queue[T]) Update(ctx context.Context, id string, due time.Time, v T) error {
	t := &triggerhook.Task{ID: id, Due: due}
	if err := q.encode(t, v); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	c := triggerhook.Change{Due: due, Payload: t.Payload}
	if c.Payload == nil {
		c.Payload = []byte{} // nil would leave the old one
	}
	if len(t.Headers) > 0 {
		info, err := q.s.Get(ctx, id)
		if err != nil {
			return fmt.Errorf("update: %w", err)
		}
		c.Headers = map[string]string{}
		maps.Copy(c.Headers, info.Headers)
		maps.Copy(c.Headers, t.Headers)
	}
	return q.s.Update(ctx, id, c)
}

// Value returns the value that a task holds: of what Get, List or ListDead of the Scheduler return (&info.Task, &dead.Task). The error
// matches ErrDecode, or triggerhook.ErrInvalid if t is nil.
func (q *Queue[T]) Value(t *triggerhook.Task) (v T, err error) {
	if t == nil {
		return v, fmt.Errorf("value: %w: the task is nil", triggerhook.ErrInvalid)
	}
	if v, err = q.codec.Decode(t); err != nil {
		return v, fmt.Errorf("%w: %w", ErrDecode, err)
	}
	return v, nil
}

// encode puts v into t. The error matches triggerhook.ErrInvalid.
func (q *Queue[T]) encode(t *triggerhook.Task, v T) error {
	if err := q.codec.Encode(t, v); err != nil {
		return fmt.Errorf("%w: encode the value of task %q: %w", triggerhook.ErrInvalid, t.ID, err)
	}
	return nil
}

// Handle is Scheduler.Handle with handlers that get the value of their delivery, beside the
// delivery itself, whose payload is as it was stored. A delivery that
// cannot be decoded does not reach h: it fails with ErrDecode, and is offered again like one
// whose handler has failed, so that a process with the right Codec (a newer one, or one that has the key) may take it.
// ErrInvalid: h is nil.
func (q *Queue[T]) Handle(ctx context.Context, concurrency int, h func(context.Context, T, *triggerhook.Delivery) error) error {
	if h == nil {
		return q.s.Handle(ctx, concurrency, nil) // which says so
	}
	return q.s.Handle(ctx, concurrency, func(ctx context.Context, d *triggerhook.Delivery) error {
		v, err := q.Value(&d.Task)
		if err != nil {
			return err
		}
		return h(ctx, v, d)
	})
}
