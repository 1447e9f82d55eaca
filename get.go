package triggerhook

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// State is where a task is.
type State int

// States of a task.
const (
	Unknown   State = iota // the hot set did not answer
	Scheduled              // in the durable store alone: usually it is due far ahead; or the hot set is full, or was lost
	Preloaded              // in the hot set, waiting
	InFlight               // claimed by a worker
)

// String returns "unknown", "scheduled", "preloaded" or "in flight", and for any other
// number a text like "State(7)".
func (s State) String() string {
	names := [...]string{"unknown", "scheduled", "preloaded", "in flight"}
	if s < 0 || int(s) >= len(names) {
		return "State(" + strconv.Itoa(int(s)) + ")"
	}
	return names[s]
}

// Info is what is known of a task.
type Info struct {
	Task
	State   State     // where the task is
	Attempt int       // Delivery.Attempt of the delivery that is InFlight, otherwise of the next one: 1 at first
	Next    time.Time // when it is next offered; zero if InFlight
	Created time.Time // when Create stored it, by the clock of its process; a Requeue keeps it

	at task.Cursor // where the row lies
}

// Get returns a task. ErrNotFound: there is none of that ID; it may be a dead letter (see ListDead). It also returns an error if the headers
// cannot be read, because the row was changed by hand.
func (s *Scheduler) Get(ctx context.Context, id string) (Info, error) {
	if err := task.CheckID(id); err != nil {
		return Info{}, fmt.Errorf("get: %w", err)
	}
	rows, err := s.store.Get(ctx, []string{id})
	if err != nil {
		return Info{}, fmt.Errorf("get: %w", err)
	}
	if len(rows) == 0 {
		return Info{}, fmt.Errorf("get: %w", &IDError{NotFound: []string{id}})
	}
	info, err := infoOf(rows[0])
	if err != nil {
		return Info{}, fmt.Errorf("get: %w", err)
	}
	found, err := s.set.Find(ctx, task.Partition(id, s.parts), []task.Ref{rows[0].Ref})
	if err != nil {
		s.report.Error("find a task", err, "answered without its state")
		return info, nil
	}
	info.place(found[0])
	return info, nil
}

// infoOf returns what a row tells.
func infoOf(r task.Row) (Info, error) {
	headers, err := task.DecodeHeaders(r.Headers)
	if err != nil {
		return Info{}, fmt.Errorf("task %q: %w", r.ID, err)
	}
	return Info{Task: Task{ID: r.ID, Due: time.UnixMilli(r.DueMS).UTC(), Payload: r.Payload, Headers: headers, Expires: task.Expiry(r.ExpiresMS)},
		Attempt: r.Attempt + 1, Next: time.UnixMilli(r.NextMS).UTC(), Created: time.UnixMilli(r.CreatedMS).UTC(), at: r.Cursor()}, nil
}

// place adds what the hot set tells.
func (i *Info) place(f task.FindResult) {
	switch f.Outcome {
	case task.FindWaiting:
		i.State, i.Attempt, i.Next = Preloaded, f.Attempt+1, time.UnixMilli(f.NextMS).UTC()
	case task.FindClaimed:
		i.State, i.Attempt, i.Next = InFlight, f.Attempt+1, time.Time{}
	default:
		i.State = Scheduled
	}
}
