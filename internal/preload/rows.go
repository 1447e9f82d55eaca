package preload

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/internal/hooks"
	"github.com/triggerhook/triggerhook/task"
)

// owned copies rows, with the payloads that the hot set takes. The rows belong to the caller,
// which may return before they are written.
func (a *Adder) owned(rows []task.Row) []task.Row {
	n := 0
	for _, r := range rows {
		if r.Size <= a.o.InlinePayload {
			n += r.Size
		}
	}
	all, own := make([]byte, 0, n), slices.Clone(rows)
	for i, r := range rows {
		own[i].Payload = nil
		if r.Size <= a.o.InlinePayload {
			from := len(all)
			all = append(all, r.Payload...)
			own[i].Payload = all[from:len(all):len(all)]
		}
	}
	return own
}

// AddRows adds rows that were read or inserted after asOf. If that is stale by now it reads
// them again and tries once more. It returns how many it added. A row beyond the horizon is not added, and is not lost:
// the feeder reads it later. A cold partition is no error: its next generation reads the rows.
func (a *Adder) AddRows(ctx context.Context, p int, asOf task.AsOf, rows []task.Row) (n int, err error) {
	for range 2 {
		var outcomes []task.AddOutcome
		outcomes, err = a.o.Set.Add(ctx, p, task.AddRequest{AsOf: asOf, Entries: a.Entries(rows)})
		if errors.Is(err, task.ErrCold) {
			return 0, nil // the next generation reads the rows
		}
		if !errors.Is(err, task.ErrStale) {
			for _, o := range outcomes {
				if o == task.AddTaken {
					n++
				}
			}
			if err == nil {
				a.tellPreloaded(p, rows, n)
			}
			return n, err
		}
		if asOf, rows, err = a.Reread(ctx, p, rows); err != nil || len(rows) == 0 {
			return 0, err
		}
	}
	return 0, fmt.Errorf("add %d tasks: %w", len(rows), task.ErrStale)
}

// Reread reads the time of the hot set, and then those of rows that still exist in their version. It
// returns both (AsOfBeforeRead).
func (a *Adder) Reread(ctx context.Context, p int, rows []task.Row) (task.AsOf, []task.Row, error) {
	asOf, err := a.o.Set.Clock(ctx, p)
	if err != nil {
		return asOf, nil, err
	}
	ids := make([]string, len(rows))
	known := make(map[task.Ref]bool, len(rows))
	for i, r := range rows {
		ids[i], known[r.Ref] = r.ID, true
	}
	found, err := a.o.Store.Get(ctx, ids)
	same := found[:0]
	for _, r := range found {
		if known[r.Ref] {
			same = append(same, r)
		}
	}
	return asOf, same, err
}

// Entries returns rows as the hot set takes them, without payloads that are too long for it.
func (a *Adder) Entries(rows []task.Row) []task.Entry {
	all := make([]task.Entry, len(rows))
	for i, r := range rows {
		all[i] = task.Entry{Ref: r.Ref, NextMS: r.NextMS, DueMS: r.DueMS, Attempt: r.Attempt, Payload: r.Payload, Headers: r.Headers, ExpiresMS: r.ExpiresMS}
		switch {
		case r.Cut() || r.Size > a.o.InlinePayload:
			all[i].Payload, all[i].Headers, all[i].ExpiresMS, all[i].External = nil, "", 0, true
		case a.o.Keeps.Has(r.ID):
			all[i].CreatedMS = r.CreatedMS
		}
	}
	return all
}

// tellPreloaded tells the hook that rows were offered to partition p, and that it took added of them.
func (a *Adder) tellPreloaded(p int, rows []task.Row, added int) {
	f := a.o.Hooks.Preloaded
	if f == nil {
		return
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	hooks.Call(a.o.Report, "Preloaded", f, hook.Preloaded{Partition: p, IDs: ids, Added: added})
}
