package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/history"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// farAway is how far ahead the tasks of a lot are due, so that they may be deleted
	// unread. What is left of them at the end the stage deletes.
	farAway = time.Hour
	// perLot is how many are deleted in one call; up to 50 would be read first.
	perLot = 60
	// lotEvery is how often a worker has one, about: more would keep MySQL from what the
	// other tasks are to show.
	lotEvery = 4 * time.Second
	// fewOfLot is how many of a lot are not far, if any.
	fewOfLot = 3
)

// lots creates many tasks that are due far away and deletes them in one call, again and
// again: the durable store need not read such. In some lots a few are due soon, or are
// rescheduled to a near time meanwhile; some are created anew under the same IDs, which
// whatever was meant for those of before must not touch.
func (w *worker) lots(ctx context.Context, all *sync.WaitGroup) {
	r := w.random(w.Who + "/lots")
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("%s.lot.%d", w.Who, n)
		kind := r.IntN(4)
		w.lot(r, name, 0, kind == 0)
		if kind == 1 {
			w.spoil(r, name, all)
		}
		w.unlot(name)
		if kind%2 == 1 {
			w.lot(r, name, 4, false) // a reschedule takes up to 3
			w.unlot(name)
		}
		pause(ctx, time.Duration(r.Int64N(int64(2*lotEvery))))
	}
}

// lot creates one, for times whose last digit base 8 is digit; a few are near if it is mixed.
func (w *worker) lot(r *rand.Rand, name string, digit int64, mixed bool) {
	tasks := make([]*triggerhook.Task, perLot)
	at := history.Now()/1000 + farAway.Milliseconds()
	for i, id := range lotIDs(name) {
		tasks[i] = &triggerhook.Task{ID: id, Due: time.UnixMilli((at+r.Int64N(1000))&^7 | digit).UTC()}
	}
	for i := 0; mixed && i < fewOfLot; i++ {
		tasks[r.IntN(perLot)].Due = due(r, digit)
	}
	w.createUntilKnown(tasks)
}

func lotIDs(name string) []string {
	ids := make([]string, perLot)
	for i := range ids {
		ids[i] = fmt.Sprint(name, ".", i)
	}
	return ids
}

// spoil reschedules a few of a lot while it is deleted.
func (w *worker) spoil(r *rand.Rand, name string, all *sync.WaitGroup) {
	for i := range fewOfLot {
		t := &triggerhook.Task{ID: fmt.Sprint(name, ".", r.IntN(perLot/fewOfLot)+i*perLot/fewOfLot)}
		wait := time.Duration(r.Int64N(int64(10 * time.Millisecond)))
		all.Go(func() {
			pause(context.Background(), wait)
			w.reschedule(w.random(t.ID+"/spoil"), t, 0)
		})
	}
}

// unlot deletes a lot, and tries again if the outcome is unknown.
func (w *worker) unlot(name string) {
	ids := lotIDs(name)
	for range 3 {
		if ids = w.deleteAll(ids); len(ids) == 0 {
			return
		}
		pause(context.Background(), 100*time.Millisecond)
	}
}

// deleteAll deletes in one call, and returns the IDs of which the outcome is unknown.
func (w *worker) deleteAll(ids []string) (unknown []string) {
	n := w.rec.Call()
	var lines []history.Event
	for _, id := range ids {
		lines = append(lines, history.Event{Op: history.Delete, Call: n, ID: id})
	}
	w.rec.Write(lines...)
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	err := w.s.Delete(ctx, ids...)
	var of *triggerhook.IDError
	named := errors.As(err, &of)
	for _, e := range lines {
		own := err
		switch {
		case named && slices.Contains(of.NotFound, e.ID):
			own = triggerhook.ErrNotFound
		case named && slices.Contains(of.Claimed, e.ID):
			own = triggerhook.ErrClaimed
		case named:
			own = nil
		}
		if w.end(e, own) == history.Unknown {
			unknown = append(unknown, e.ID)
		}
	}
	return unknown
}

// sweep deletes what the workers left of their lots, of which the hot set knows nothing.
func (st *stage) sweep(ctx context.Context) error {
	rows, err := st.db.QueryContext(ctx, "SELECT id, ver FROM "+st.ns+"_task WHERE next_ms > ?", history.Now()/1000+farAway.Milliseconds()/2)
	if err != nil {
		return fmt.Errorf("read what is left of the lots: %w", err)
	}
	defer rows.Close()
	var refs []task.Ref
	for rows.Next() {
		var ref task.Ref
		if err := rows.Scan(&ref.ID, &ref.Ver); err != nil {
			return fmt.Errorf("read what is left of the lots: %w", err)
		}
		refs = append(refs, ref)
	}
	if err := rows.Err(); err != nil || len(refs) == 0 {
		return err
	}
	n := st.rec.Call()
	for _, ref := range refs {
		st.rec.Write(history.Event{Op: history.Delete, Call: n, ID: ref.ID})
	}
	deleted, err := st.store.Delete(ctx, refs)
	if err != nil {
		for _, ref := range refs {
			st.rec.Write(history.Event{Op: history.Delete, Call: n, ID: ref.ID, End: true, Result: history.Unknown, Error: err.Error()})
		}
		return fmt.Errorf("delete what is left of the lots: %w", err)
	}
	for i, ref := range refs {
		e := history.Event{Op: history.Delete, Call: n, ID: ref.ID, End: true, Result: history.NotFound}
		if deleted[i] {
			e.Result = history.OK
		}
		st.rec.Write(e)
	}
	return nil
}
