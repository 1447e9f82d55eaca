package agent

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/horizon"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// drainEvery is how often the outbox is read while transactions of callers are in use.
	drainEvery = 100 * time.Millisecond
	// drainFor is how long the outbox is read that often after a process has noted that it uses transactions.
	drainFor = time.Minute
	// lookEvery is how often it is read after that, because a transaction may stay open for longer than drainFor. lookSeldom is
	// how often it is read as long as no process has ever noted a use, because the note may have failed.
	lookEvery  = 10 * time.Second
	lookSeldom = time.Minute
	// tellTimeout bounds what the drainer does in the hot set for one page of a partition.
	tellTimeout = 5 * time.Second
)

// drainer tells the hot set what transactions of callers have changed (Outbox). It runs beside the feeder, in the
// process that holds that role.
//
// Protocol of a page: read entries. For each partition ask the hot set's time (AsOfBeforeRead), and then read the rows;
// hold the low bound for rows that are long due; add the versions that rows have, and remove the others,
// which leaves tombstones; then delete exactly the entries that were read. If the process dies
// anywhere, or a partition does not answer, the entries stay, and the next round does the same once more, which does no harm.
// So two drainers do no harm either. A removal that fails is not queued for retries (Options.Fenced), because its entry stays.
//
// A record tells whether transactions are in use (task.RecordTxUse). Each note of a use changes its text, and the drainer looks for
// changes, so that no two clocks are compared.
type drainer struct {
	o     Options
	seen  string    // the last note of a use
	until time.Time // until then the outbox is read each drainEvery
}

func newDrainer(o Options) *drainer { return &drainer{o: o} }

// round drains the outbox once, and returns when to come again: after at least as long as the round took. While an old transaction is
// open the server keeps deleted entries, and reads take long because of them.
func (d *drainer) round(ctx context.Context) time.Duration {
	began := time.Now()
	every := lookSeldom
	if k, _, _ := d.o.Records.Last(); k.TxUse != "" {
		every = lookEvery
		if k.TxUse != d.seen {
			d.seen, d.until = k.TxUse, began.Add(drainFor)
		}
	}
	if began.Before(d.until) {
		every = drainEvery
	}
	if !d.drain(ctx) {
		every = failedRetry
	}
	return max(every, time.Since(began))
}

// drain passes once through the outbox, and reports whether all entries that it has read are done.
func (d *drainer) drain(ctx context.Context) bool {
	complete := true
	for after, more := int64(0), true; more && ctx.Err() == nil; {
		entries, err := d.o.Outbox.Outbox(ctx, after, pageRows)
		if err != nil {
			d.o.Report.Error("read the outbox", err, "read again in a second")
			return false
		}
		if more = len(entries) == pageRows; more {
			after = entries[len(entries)-1].Key
		}
		byPart := map[int][]task.OutboxEntry{}
		for _, e := range entries {
			p := task.Partition(e.ID, d.o.parts)
			byPart[p] = append(byPart[p], e)
		}
		for p, entries := range byPart {
			if err := d.drainPart(ctx, p, entries); err != nil {
				d.o.Report.Error("drain the outbox", err, "tried again in a second", "partition", p, "entries", len(entries))
				complete = false
			}
		}
	}
	return complete
}

// drainPart tells a partition what became of the versions that entries name, and deletes the entries. It is one pass through
// both stores.
func (d *drainer) drainPart(ctx context.Context, p int, entries []task.OutboxEntry) error {
	short, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	failpoint.Hit("outbox/read")
	asOf, err := d.o.Set.Clock(short, p) // before the rows (AsOfBeforeRead)
	if err != nil {
		return err
	}
	rows, gone, err := d.split(short, entries)
	if err == nil {
		err = d.holdBound(short, rows)
	}
	if err != nil {
		return err
	}
	if near := horizon.Near(rows, d.o.Window.FarAbove(asOf, 0)); len(near) > 0 {
		failpoint.Hit("outbox/add")
		if _, err := d.o.Adder.AddRows(short, p, asOf, near); err != nil {
			return err
		}
	}
	if len(gone) > 0 {
		failpoint.Hit("outbox/remove")
		if _, err := d.o.Fenced.Remove(short, p, "", gone); err != nil {
			return err
		}
	}
	failpoint.Hit("outbox/delete")
	keys := make([]int64, len(entries))
	for i, e := range entries {
		keys[i] = e.Key
	}

	// The commit point: the entries are deleted. A crash before it leaves them, and the next drainer tells the hot
	// set once more. A crash after it leaves nothing to repair.
	if err := d.o.Outbox.DeleteOutbox(short, keys); err != nil {
		return err
	}
	failpoint.Hit("outbox/end")
	return nil
}

// split reads the rows of entries. It returns those whose version an entry names, and the versions that no row has.
func (d *drainer) split(ctx context.Context, entries []task.OutboxEntry) (rows []task.Row, gone []task.Ref, err error) {
	named, asked := make(map[task.Ref]bool, len(entries)), map[string]bool{}
	var ids []string
	for _, e := range entries {
		named[e.Ref] = true
		if !asked[e.ID] {
			asked[e.ID] = true
			ids = append(ids, e.ID)
		}
	}
	found, err := d.o.Store.Get(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range found {
		if named[r.Ref] {
			rows = append(rows, r)
			delete(named, r.Ref)
		}
	}
	for ref := range named {
		gone = append(gone, ref)
	}
	return rows, gone, nil
}

// holdBound makes sure that a scan finds rows, whose transactions may have been open for long.
func (d *drainer) holdBound(ctx context.Context, rows []task.Row) error {
	if len(rows) == 0 {
		return nil
	}
	first := rows[0].NextMS
	for _, r := range rows {
		first = min(first, r.NextMS)
	}
	return d.o.Outbox.HoldBound(ctx, first)
}
