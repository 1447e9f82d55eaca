package triggerhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// History are the options of the history: what this process keeps of the tasks that it confirms, deletes, or makes dead letters. It is written in
// the transaction that deletes the task's row, into {ns}_done in MySQL: ID, times, attempts, worker, and of a dead letter reason and last
// error; neither payload nor headers. Scheduler.History reads it.
//
// What a process without these options ends leaves no history. So all processes of a namespace that confirm or delete should have them.
type History struct {
	// Retention is how long the history of a task is kept: 1 hour to 87,600 hours (10 years of 365 days), and up to 4 hours longer, because it is purged by slots
	// of 4 hours. 0: no history is kept. A background role purges by the Retention of the process that holds it.
	Retention time.Duration
	// Sample is the share of IDs that are kept, more than 0 and at most 1: 1. It depends on the ID alone, so that a task is in the history
	// of all processes or of none.
	Sample float64
}

const (
	leastRetention = time.Hour
	mostRetention  = 10 * 365 * 24 * time.Hour
	// mostEndings is how many ends of one ID History returns at most.
	mostEndings = 100
)

// EndKind says how a task ended. String returns "confirmed", "deleted" or "dead".
type EndKind = task.EndKind

// How a task ended (Ending.How).
const (
	EndConfirmed = task.EndConfirmed // a worker confirmed it: it is done
	EndDeleted   = task.EndDeleted   // Delete, DeleteTx or DeleteWhere deleted it
	EndDead      = task.EndDead      // it became a dead letter
)

// Ending is what the history has of one task: how and when it ended.
type Ending struct {
	ID        string    // Task.ID
	How       EndKind   // EndConfirmed, EndDeleted or EndDead
	Created   time.Time // when Create stored it
	Due       time.Time // Task.Due
	Delivered time.Time // when its last delivery began; zero if it was not delivered, or another process than Worker had it
	Ended     time.Time // by the hot set's clock, of a deleted task up to 5 s before; of DeleteTx, by its process's clock
	Attempts  int       // Delivery.Attempt of its last delivery, which a Snooze does not count; of a dead letter DeadTask.Attempts; of a deleted task what its row knew, often 0
	Worker    string    // the process that confirmed or deleted it, or made it a dead letter (Options.Worker)
	Reason    string    // of a dead letter: DeadTask.Reason
	LastError string    // of a dead letter: DeadTask.LastError
}

func (h History) withDefaults() History {
	if h.Retention == 0 {
		return h
	}
	def(&h.Sample, 1)
	return h
}

// validate reports all problems of options that have their defaults.
func (h History) validate() error {
	var err error
	if h.Retention == 0 && h.Sample != 0 {
		err = fmt.Errorf("%w: Options.History.Sample is %v without a Retention, so that no history is kept", ErrInvalid, h.Sample)
	}
	if h.Retention != 0 {
		err = within("History.Retention", h.Retention, leastRetention, mostRetention)
		if !(h.Sample > 0 && h.Sample <= 1) { // NaN too
			err = errors.Join(err, fmt.Errorf("%w: Options.History.Sample is %v, allowed is more than 0 and at most 1", ErrInvalid, h.Sample))
		}
	}
	return err
}

// History returns how the tasks that were called id ended, the newest first, at most the last 100: an ID may be used again. It is empty if
// none has ended, or no history of it is kept: processes without Options.History keep none, nor does one for an ID outside its
// Sample, and what is older than its Retention is purged. A task that lives is not in it (Get).
//
// It reads what is stored, whatever this process's own Options.History are. ErrInvalid: id breaks a rule. ErrUnsupported: the store keeps no history.
func (s *Scheduler) History(ctx context.Context, id string) ([]Ending, error) {
	if err := task.CheckID(id); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	store, is := s.store.(durable.Historian)
	if !is {
		return nil, fmt.Errorf("history: %w", ErrUnsupported)
	}
	kept, err := store.History(ctx, id, mostEndings)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	all := make([]Ending, len(kept))
	for i, e := range kept {
		all[i] = Ending{ID: e.ID, How: e.How, Created: time.UnixMilli(e.CreatedMS).UTC(), Due: time.UnixMilli(e.DueMS).UTC(),
			Delivered: task.Expiry(e.DeliveredMS), Ended: time.UnixMilli(e.EndedMS).UTC(), Attempts: e.Attempt, Worker: e.Worker,
			Reason: e.Reason, LastError: e.LastError}
	}
	return all, nil
}

// historian keeps history for a Scheduler. A nil historian keeps none.
type historian struct {
	store  durable.Historian
	sample task.Sample
	worker string
}

// newHistorian returns nil if o asks for no history. ErrUnsupported: the store cannot keep any.
func newHistorian(store durable.Store, o History, worker string) (*historian, error) {
	if o.Retention == 0 || isNil(store) {
		return nil, nil
	}
	h, is := store.(durable.Historian)
	if !is {
		return nil, fmt.Errorf("%w: Options.History is set, and the store keeps no history", ErrUnsupported)
	}
	return &historian{h, task.Sample(o.Sample), worker}, nil
}

// ofConsumer is what the consumer keeps, nil if nothing.
func (h *historian) ofConsumer() *consumer.History {
	if h == nil {
		return nil
	}
	return &consumer.History{Store: h.store, Sample: h.sample, Worker: h.worker}
}

// ofEntries are the ids whose members in the hot set have what the history keeps of their rows.
func (h *historian) ofEntries() task.Sample {
	if h == nil {
		return 0
	}
	return h.sample
}

// ofAgents is the store for the role that purges, nil if none does.
func (h *historian) ofAgents() durable.Historian {
	if h == nil {
		return nil
	}
	return h.store
}

// deleted is what is kept of a task that is deleted at that time.
func (h *historian) deleted(ref task.Ref, at time.Time) task.Ending {
	if !h.sample.Has(ref.ID) {
		return task.Ending{Ref: ref}
	}
	return task.Ending{Ref: ref, How: EndDeleted, EndedMS: max(0, at.UnixMilli()), Worker: h.worker}
}

// deleteByID deletes rows as DeleteByID of the store does, and keeps their history if s keeps any.
func (s *Scheduler) deleteByID(ctx context.Context, ids []string, line farLine) ([]task.Row, error) {
	if s.history == nil {
		return s.store.DeleteByID(ctx, ids, line.aboveMS)
	}
	at, ends := line.now(), make([]task.Ending, len(ids))
	for i, id := range ids {
		ends[i] = s.history.deleted(task.Ref{ID: id}, at)
	}
	return s.history.store.EndByID(ctx, ends)
}

// keepTx keeps the history of rows that tx deletes next, if s keeps any.
func (s *Scheduler) keepTx(ctx context.Context, tx Tx, rows []task.LockedRow) error {
	if s.history == nil {
		return nil
	}
	store, is := s.history.store.(durable.TxHistorian)
	if !is {
		return fmt.Errorf("keep history: %w", ErrUnsupported)
	}
	var ends []task.Ending
	for _, r := range rows {
		if e := s.history.deleted(r.Ref, time.Now()); e.How != 0 {
			ends = append(ends, e)
		}
	}
	return store.KeepTx(ctx, tx, ends)
}
