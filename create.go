package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// mostTasks and mostBytes, of IDs and payloads, are the largest call. A Create is one
	// transaction: it holds its rows, and all of it in undo and binary log, until its commit.
	// Group Replication refuses one of 143 MiB (group_replication_transaction_size_limit),
	// and a row has about 70 bytes besides its ID and payload.
	mostTasks = 100_000
	mostBytes = 64 << 20
	// hotWait is how long Create waits for the hot set once its row stands, or for each
	// hotCall of its rows, and hotRest for how long it does not try after a failure:
	// addLater takes over.
	hotWait = 100 * time.Millisecond
	hotRest = time.Second
	// far is how far ahead of its own clock a creator to whom the hot set does not
	// answer takes a task for one that no feeder can have asked for: the largest Window,
	// and a day for the clocks.
	far = 2 * maxWindow
)

// Create stores tasks, all or none, and fills in empty IDs. Nil: each survives the
// crash of anything and is delivered at least once, whatever becomes of ctx or of
// the hot set. ErrInvalid, ErrExists (an IDError names which): nothing was stored.
// ErrTooLarge: a call takes at most 100,000 tasks, with 64 MiB of IDs and payloads in all,
// and nothing was stored. A large call takes as long as its statements do, of which each has
// 10 s; the end of ctx ends it. After any other error the outcome is unknown; calling again with the same tasks
// cannot make a second one, and IDs that it filled in stay. No tasks: nil.
func (s *Scheduler) Create(ctx context.Context, tasks ...*Task) error {
	rows, err := s.rows(tasks)
	if err != nil || len(rows) == 0 {
		return err
	}
	asOf := s.asOf(ctx, rows)
	failpoint.Hit("create/commit")
	if err := s.store.Create(ctx, rows); err != nil {
		return err
	}
	s.counts.created.Add(uint64(len(rows)))
	failpoint.Hit("create/add")
	s.addCreated(asOf)
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
	if slices.ContainsFunc(bad.Invalid, func(id string) bool { return id != "" }) { // a task without an ID has no name but its place
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
		t.Due = time.UnixMilli(rows[i].DueMS).UTC()
	}
	return rows, nil
}

// checkCall refuses what is too much for one transaction.
func checkCall(tasks []*Task) error {
	bytes := 0
	for _, t := range tasks {
		if t != nil {
			bytes += len(t.ID) + len(t.Payload)
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
	if t.ID != "" {
		err = errors.Join(err, task.CheckID(t.ID))
	}
	if len(t.Payload) > s.o.MaxPayload {
		err = errors.Join(err, fmt.Errorf("%w: payload of %d bytes, Options.MaxPayload is %d", ErrInvalid, len(t.Payload), s.o.MaxPayload))
	}
	return task.Row{Ref: task.Ref{ID: t.ID, Ver: task.NewVer()}, DueMS: due, ExecMS: due, CreatedMS: time.Now().UnixMilli(),
		Payload: t.Payload, Size: len(t.Payload)}, err
}

// share is the rows of one call that belong to one partition.
type share struct {
	p     int
	asOf  task.AsOf
	known bool // asOf was seen before the rows were inserted (rule 3)
	asked time.Time
	rows  []task.Row
}

// asOf parts rows by their partitions, and looks at the time of each before they
// are inserted. A partition that does not answer in time is not known.
func (s *Scheduler) asOf(ctx context.Context, rows []task.Row) []share {
	all := s.split(rows)
	s.knowRecords(ctx)
	short, cancel := context.WithTimeout(ctx, hotWait)
	defer cancel()
	for i := range all {
		if !s.hotWell(all[i].p) {
			continue
		}
		asked := time.Now()
		a, err := s.set.Clock(short, all[i].p)
		if err != nil {
			if ctx.Err() == nil {
				s.hotFailed("ask the hot set's time", all[i].p, err)
			}
			continue
		}
		all[i].asOf, all[i].known, all[i].asked = a, true, asked
	}
	return all
}

func (s *Scheduler) split(rows []task.Row) []share {
	if s.parts == 1 || len(rows) == 1 {
		return []share{{p: task.Partition(rows[0].ID, s.parts), rows: rows}}
	}
	byPart := map[int][]task.Row{}
	for _, r := range rows {
		p := task.Partition(r.ID, s.parts)
		byPart[p] = append(byPart[p], r)
	}
	all := make([]share, 0, len(byPart))
	for p, rows := range byPart {
		all = append(all, share{p: p, rows: rows})
	}
	return all
}

// hotWell reports whether a partition is to be tried.
func (s *Scheduler) hotWell(p int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !time.Now().Before(s.hotAt[p])
}

func (s *Scheduler) hotFailed(act string, p int, err error) {
	s.mu.Lock()
	s.hotAt[p] = time.Now().Add(hotRest)
	s.mu.Unlock()
	s.report.Error(act, err, "the task stands, and is added in a second", "partition", p)
}

// addCreated offers rows that were committed to the hot set. Also where the
// partition was cold before the commit: a feeder may have begun a generation and
// read the rows meanwhile, too early to see these (the answer is ErrStale then).
func (s *Scheduler) addCreated(all []share) {
	var left []task.Row
	var offered []offering
	for i := range all {
		sh := &all[i]
		if !sh.known {
			left = append(left, near(sh.rows, time.Now().Add(far).UnixMilli())...)
			continue
		}
		if sh.rows = near(sh.rows, s.farAbove(sh.asOf, wait.Elapsed(sh.asked))); len(sh.rows) == 0 {
			continue
		}
		if len(sh.rows) > hotCall && wait.Elapsed(sh.asked) > task.TombstoneTTL/2 { // asOf is stale, or soon will be (rule 3)
			left = append(left, sh.rows...)
			continue
		}
		for rows := range slices.Chunk(s.owned(sh.rows), hotCall) {
			offered = append(offered, offering{rows, s.offers[sh.p].Go(offer{sh.asOf, rows})})
		}
	}
	s.addLater(append(left, refused(offered)...))
}

// offering is rows that were offered to the hot set.
type offering struct {
	rows []task.Row
	done <-chan coalesce.Result[struct{}]
}

// errLate is what await answers if there is no answer in time: a call to the hot set hangs,
// and says so.
var errLate = errors.New("no answer in time")

func (o offering) await(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case r := <-o.done:
		return r.Err
	case <-timer.C:
		return errLate
	}
}

// refused returns the rows that the hot set did not take. It waits hotWait for each answer,
// and not at all once it has waited in vain.
func refused(all []offering) (left []task.Row) {
	patience := hotWait
	for _, o := range all {
		err := o.await(patience)
		if err != nil {
			left = append(left, o.rows...)
		}
		if errors.Is(err, errLate) {
			patience = 0
		}
	}
	return left
}

// owned copies rows, with the payloads that the hot set takes: they are the
// caller's, who may not wait until they are written.
func (s *Scheduler) owned(rows []task.Row) []task.Row {
	n := 0
	for _, r := range rows {
		if r.Size <= s.o.InlinePayload {
			n += r.Size
		}
	}
	all, own := make([]byte, 0, n), slices.Clone(rows)
	for i, r := range rows {
		own[i].Payload = nil
		if r.Size <= s.o.InlinePayload {
			from := len(all)
			all = append(all, r.Payload...)
			own[i].Payload = all[from:len(all):len(all)]
		}
	}
	return own
}

// add adds rows that were read or inserted after asOf. Where that is stale by
// now it reads them again, once. It returns how many are in.
func (s *Scheduler) add(ctx context.Context, p int, asOf task.AsOf, rows []task.Row) (n int, err error) {
	for range 2 {
		var answers []task.Answer
		answers, err = s.set.Add(ctx, p, task.AddRequest{AsOf: asOf, Entries: s.entries(rows)})
		if errors.Is(err, task.ErrCold) {
			return 0, nil // the next generation reads the rows
		}
		if !errors.Is(err, task.ErrStale) {
			for _, a := range answers {
				if a == task.Waiting {
					n++
				}
			}
			return n, err
		}
		if asOf, rows, err = s.again(ctx, p, rows); err != nil || len(rows) == 0 {
			return 0, err
		}
	}
	return 0, fmt.Errorf("add %d tasks: %w", len(rows), task.ErrStale)
}

// again reads those rows that still stand in their version, as of now.
func (s *Scheduler) again(ctx context.Context, p int, rows []task.Row) (task.AsOf, []task.Row, error) {
	asOf, err := s.set.Clock(ctx, p)
	if err != nil {
		return asOf, nil, err
	}
	ids := make([]string, len(rows))
	known := make(map[task.Ref]bool, len(rows))
	for i, r := range rows {
		ids[i], known[r.Ref] = r.ID, true
	}
	found, err := s.store.Get(ctx, ids)
	stand := found[:0]
	for _, r := range found {
		if known[r.Ref] {
			stand = append(stand, r)
		}
	}
	return asOf, stand, err
}

func (s *Scheduler) entries(rows []task.Row) []task.Entry {
	all := make([]task.Entry, len(rows))
	for i, r := range rows {
		all[i] = task.Entry{Ref: r.Ref, DueMS: r.DueMS, ExecMS: r.ExecMS, Attempt: r.Attempt, Payload: r.Payload}
		if r.Cut() || r.Size > s.o.InlinePayload {
			all[i].Payload, all[i].External = nil, true
		}
	}
	return all
}
