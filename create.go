package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/hooks"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// mostTasks and mostBytes (of IDs, payloads and headers) bound one call. A Create is one
	// transaction: until its commit it holds locks on its rows, and space in the undo and binary
	// logs. Group Replication refuses a transaction of 143 MiB
	// (group_replication_transaction_size_limit), and a row has about 70 bytes besides its ID and payload.
	mostTasks = 100_000
	mostBytes = 64 << 20
)

// Create stores tasks, all or none. It writes into them: where Task.ID is empty it sets a new
// UUIDv7, and it rounds Task.Due and Task.Expires up to the millisecond in UTC. Nil: each task survives the
// crash of anything and is delivered at least once, whatever becomes of ctx or of
// the hot set. ErrInvalid, ErrExists (an IDError names which), ErrPaused (Pause): nothing was stored.
// ErrTooLarge: a call takes at most 100,000 tasks, with 64 MiB of IDs, payloads and headers in all,
// and nothing was stored. A large call takes as long as its statements do, of which each has
// 10 s; the end of ctx ends it. After any other error the outcome is unknown; calling again with the same tasks
// cannot make a second one, and IDs that it filled in stay. No tasks: nil.
func (s *Scheduler) Create(ctx context.Context, tasks ...*Task) error {
	rows, err := s.rows(tasks)
	if err != nil || len(rows) == 0 {
		return err
	}
	if err := s.checkProducers(ctx); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	parts := s.adds.Stamp(ctx, rows) // before the commit (AsOfBeforeRead)
	failpoint.Hit("create/commit")

	// The commit point (RowFirst). A crash before it leaves nothing. A crash after it leaves
	// rows that the hot set may not hold: the feeder adds the rows that are due later than those that
	// it has loaded, and the auditor finds the others once they are late.
	if err := s.store.Create(ctx, rows); err != nil {
		return err
	}
	s.counts.created.Add(uint64(len(rows)))
	s.tellCreated(rows)
	failpoint.Hit("create/add")
	s.adds.Add(parts) // what lingers is added in the background, and an add that fails is retried there
	failpoint.Hit("create/end")
	return nil
}

// rows checks tasks, and only if all are legal fills them in.
func (s *Scheduler) rows(tasks []*Task) ([]task.Row, error) {
	if err := checkCall(tasks); err != nil {
		return nil, err
	}
	rows := make([]task.Row, len(tasks))
	bad := &IDError{}
	var errs []error
	var seen map[string]bool
	if len(tasks) > 1 {
		seen = make(map[string]bool, len(tasks))
	}
	for i, t := range tasks {
		r, err := s.row(t)
		if err == nil && r.ID != "" && seen[r.ID] {
			err = fmt.Errorf("%w: id %q is in this call twice", ErrInvalid, r.ID)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("create task %d: %w", i, err))
			if t != nil {
				bad.Invalid = append(bad.Invalid, t.ID)
			}
			continue
		}
		if seen != nil {
			seen[r.ID] = true
		}
		rows[i] = r
	}
	if slices.ContainsFunc(bad.Invalid, func(id string) bool { return id != "" }) { // a task without an ID has no name except its place in the call
		errs = append(errs, bad)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for i, t := range tasks {
		if t.ID == "" {
			id, err := uuid.NewV7()
			if err != nil {
				return nil, fmt.Errorf("make an id: %w", err)
			}
			t.ID, rows[i].ID = id.String(), id.String()
		}
		t.Due, t.Expires = time.UnixMilli(rows[i].DueMS).UTC(), task.Expiry(rows[i].ExpiresMS)
	}
	return rows, nil
}

// checkCall refuses a call that is too large for one transaction.
func checkCall(tasks []*Task) error {
	bytes := 0
	for _, t := range tasks {
		if t != nil {
			bytes += len(t.ID) + len(t.Payload) + task.HeadersSize(t.Headers)
		}
	}
	if len(tasks) > mostTasks || bytes > mostBytes {
		return fmt.Errorf("create: %w: %d tasks with %d bytes in one call, at most %d with %d bytes are taken",
			ErrTooLarge, len(tasks), bytes, mostTasks, mostBytes)
	}
	return nil
}

func (s *Scheduler) row(t *Task) (task.Row, error) {
	if t == nil {
		return task.Row{}, fmt.Errorf("%w: task is nil", ErrInvalid)
	}
	due, err := task.DueMS(t.Due)
	expires, late := task.ExpiresMS(t.Expires, due)
	if t.ID != "" {
		err = errors.Join(err, task.CheckID(t.ID))
	}
	if len(t.Payload) > s.o.MaxPayload {
		err = errors.Join(err, s.payloadTooLong(t.Payload))
	}
	headers, wrong := task.EncodeHeaders(t.Headers)
	return task.Row{Ref: task.Ref{ID: t.ID, Ver: task.NewVer()}, NextMS: due, DueMS: due, CreatedMS: time.Now().UnixMilli(),
		ExpiresMS: expires, Payload: t.Payload, Headers: headers, Size: len(t.Payload) + len(headers)}, errors.Join(err, late, wrong)
}

// tellCreated tells the hook which rows are committed.
func (s *Scheduler) tellCreated(rows []task.Row) {
	f := s.o.Hooks.Created
	if f == nil {
		return
	}
	all := make([]hook.Task, len(rows))
	for i, r := range rows {
		all[i] = hook.Task{ID: r.ID, Due: time.UnixMilli(r.DueMS).UTC()}
	}
	hooks.Call(s.report, "Created", f, hook.Created{Tasks: all})
}

// payloadTooLong is the error of a payload that is longer than MaxPayload.
func (s *Scheduler) payloadTooLong(payload []byte) error {
	return fmt.Errorf("%w: payload of %d bytes, Options.MaxPayload is %d", ErrInvalid, len(payload), s.o.MaxPayload)
}
