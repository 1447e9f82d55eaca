package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// History tells which tasks leave history, and where (durable.Historian).
type History struct {
	Store  Historian   // that keeps it
	Sample task.Sample // of which IDs
	Worker string      // the name of this process
}

// Historian is what a consumer needs of a durable store that keeps history. durable.Historian has the contract of each method.
type Historian interface {
	// End deletes rows in the versions named, and keeps how they end.
	End(ctx context.Context, ends []task.Ending) ([]bool, error)
	// EndDead moves rows to the dead letters, and keeps how they end.
	EndDead(ctx context.Context, burials []task.Burial, ends []task.Ending) ([]bool, error)
}

// txHistorian is a Historian that can keep history in a transaction of the caller's own.
type txHistorian interface {
	// KeepTx keeps how rows end which tx deletes after it.
	KeepTx(ctx context.Context, tx task.Tx, ends []task.Ending) error
}

// confirmed is what the history keeps of ds, which are confirmed now; nil without Options.History.
func (c *Consumer) confirmed(ds []*Delivery) []task.Ending {
	if c.o.History == nil {
		return nil
	}
	ends, at := make([]task.Ending, len(ds)), c.latest()
	for i, d := range ds {
		ends[i] = c.ending(d, task.Ending{How: task.EndConfirmed, EndedMS: at.UnixMilli(), Attempt: d.failedAttempts + 1}, true)
	}
	return ends
}

// buriedAs is what the history keeps of a group that becomes dead letters; nil without Options.History. burials are what the store
// is asked to do with the group.
func (c *Consumer) buriedAs(group []burial, burials []task.Burial) []task.Ending {
	if c.o.History == nil {
		return nil
	}
	ends := make([]task.Ending, len(group))
	for i, b := range group {
		of := burials[i]
		ends[i] = c.ending(b.d, task.Ending{How: task.EndDead, EndedMS: of.DeadMS, Attempt: of.Attempt, Reason: of.Reason, LastError: of.LastError}, b.done != nil)
	}
	return ends
}

// ending completes e, the end of d. handed: a caller had d. Of a task that is not in the sample the history keeps nothing: its
// ending has a Ref alone.
func (c *Consumer) ending(d *Delivery, e task.Ending, handed bool) task.Ending {
	if !c.o.History.Sample.Has(d.own.ID) {
		return task.Ending{Ref: d.own}
	}
	e.Ref, e.Worker = d.own, c.o.History.Worker
	if d.createdMS != 0 {
		e.DueMS, e.CreatedMS = d.dueMS, d.createdMS
	}
	if handed {
		c.mu.Lock()
		since := d.since
		c.mu.Unlock()
		e.DeliveredMS = max(0, e.EndedMS-time.Since(since).Milliseconds())
	}
	return e
}

// deleteOrEnd deletes rows in the versions of refs; with ends it keeps how they end.
func (s *settler) deleteOrEnd(ctx context.Context, refs []task.Ref, ends []task.Ending) ([]bool, error) {
	if ends == nil {
		return s.c.store.Delete(ctx, refs)
	}
	return s.c.o.History.Store.End(ctx, ends)
}

// buryOrEnd moves rows to the dead letters; with ends it keeps how they end.
func (s *settler) buryOrEnd(ctx context.Context, burials []task.Burial, ends []task.Ending) ([]bool, error) {
	if ends == nil {
		return s.c.store.Bury(ctx, burials)
	}
	return s.c.o.History.Store.EndDead(ctx, burials, ends)
}

// keepTx keeps in a transaction of the caller's own that it confirms d.
func (d *Delivery) keepTx(ctx context.Context, tx task.Tx) error {
	ends := d.c.confirmed([]*Delivery{d})
	if ends == nil || ends[0].How == 0 {
		return nil
	}
	h, is := d.c.o.History.Store.(txHistorian)
	if !is {
		return fmt.Errorf("keep history: %w", task.ErrUnsupported)
	}
	return h.KeepTx(ctx, tx, ends)
}
