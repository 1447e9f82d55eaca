package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// ledger notes this program's own calls and deliveries.
type ledger struct {
	mu    sync.Mutex
	all   bool // all tasks are created
	fates map[string]*fate
	rest  map[string]bool // of an earlier run
	late  []time.Duration
	sums  sums
}

// fate is what became of one task.
type fate struct {
	created, deleted, claimed, confirmed bool
	deliveries, rollbacks                int
}

// sums are the table.
type sums struct {
	Created    int     `json:"created"`
	Deleted    int     `json:"deleted"`
	Delivered  int     `json:"delivered"`
	Confirmed  int     `json:"confirmed"`
	RolledBack int     `json:"rolled_back"`
	Early      int     `json:"early"`
	Lost       int     `json:"lost"`
	Duplicates int     `json:"duplicates"`
	P50        float64 `json:"late_ms_p50"`
	P99        float64 `json:"late_ms_p99"`
	Max        float64 `json:"late_ms_max"`
}

func (l *ledger) fate(id string) *fate {
	if l.fates == nil {
		l.fates = map[string]*fate{}
	}
	if l.fates[id] == nil {
		l.fates[id] = &fate{}
	}
	return l.fates[id]
}

// handle is what a worker does: here, nothing but book-keeping. One in twenty is
// rolled back once.
func (l *ledger) handle(d *triggerhook.Delivery) {
	ctx := context.Background()
	l.delivered(d)
	if d.Attempt == 1 && rand.IntN(20) == 0 {
		if d.Rollback(ctx, 50*time.Millisecond) == nil {
			l.rolledBack(d.ID)
		}
		return
	}
	err := d.Confirm(ctx)
	l.confirmed(d.ID, err)
}

// creating knows tasks before they can be delivered.
func (l *ledger) creating(tasks []*triggerhook.Task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range tasks {
		l.fate(t.ID)
	}
}

func (l *ledger) created(tasks []*triggerhook.Task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range tasks {
		l.fate(t.ID).created = true
	}
	l.sums.Created += len(tasks)
}

func (l *ledger) createdAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = true
}

func (l *ledger) deleted(id string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fate(id)
	if f.deleted = err == nil; f.deleted {
		l.sums.Deleted++
	}
	f.claimed = err != nil // it was delivered first, or is being
}

func (l *ledger) delivered(d *triggerhook.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.fate(d.ID)
	f.deliveries++
	l.sums.Delivered++
	late := time.Since(d.Due)
	if late < 0 {
		l.sums.Early++
	}
	if f.deliveries > 1+f.rollbacks || f.deleted {
		l.sums.Duplicates++
	}
	if d.Attempt == 1 && f.created {
		l.late = append(l.late, late)
	}
}

func (l *ledger) rolledBack(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fate(id).rollbacks++
	l.sums.RolledBack++
}

func (l *ledger) confirmed(id string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.fate(id).confirmed = true
		l.sums.Confirmed++
	}
}

// settled reports whether nothing is left to be delivered.
func (l *ledger) settled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.all {
		return false
	}
	for _, f := range l.fates {
		if f.created && !f.deleted && !f.claimed && !f.confirmed {
			return false
		}
	}
	for id := range l.rest {
		if f := l.fates[id]; f == nil || !f.confirmed {
			return false
		}
	}
	return true
}

// hopeless reports whether all that is to be delivered has no row any more:
// another program has taken the rows out of the store.
func (l *ledger) hopeless(ctx context.Context, store durable.Store) bool {
	stand := map[string]bool{}
	if err := eachRow(ctx, store, func(r task.Row) { stand[r.ID] = true }); err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.all {
		return false
	}
	for id, f := range l.fates {
		if stand[id] && !f.confirmed {
			return false
		}
	}
	for id := range l.rest {
		if stand[id] {
			return false
		}
	}
	return true
}

func (l *ledger) progress() {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(os.Stderr, "\rcreated %d  deleted %d  delivered %d  confirmed %d  rolled back %d ",
		l.sums.Created, l.sums.Deleted, l.sums.Delivered, l.sums.Confirmed, l.sums.RolledBack)
}

// findRest notes the rows of an earlier run.
func (l *ledger) findRest(ctx context.Context, store durable.Store) error {
	l.rest = map[string]bool{}
	return eachRow(ctx, store, func(r task.Row) { l.rest[r.ID] = true })
}

// findLost counts what was created and neither deleted nor confirmed; and of an
// earlier run, what still stands. A run that was interrupted leaves rows, which
// the next one finds: those are not lost.
func (l *ledger) findLost(ctx context.Context, store durable.Store, interrupted bool) error {
	stand := map[string]bool{}
	if err := eachRow(ctx, store, func(r task.Row) { stand[r.ID] = true }); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, f := range l.fates {
		open := f.created && !f.deleted && !f.claimed && !f.confirmed && !l.rest[id]
		if open && !(interrupted && stand[id]) {
			l.sums.Lost++
		}
	}
	for id := range l.rest {
		if stand[id] && !interrupted {
			l.sums.Lost++
		}
	}
	return nil
}

func eachRow(ctx context.Context, store durable.Store, f func(task.Row)) error {
	const page = 1000
	var at task.Cursor
	for {
		rows, err := store.Scan(ctx, at, task.MaxDue+1, page, 0)
		if err != nil {
			return err
		}
		for _, r := range rows {
			f(r)
		}
		if len(rows) < page {
			return nil
		}
		at = rows[len(rows)-1].Cursor()
	}
}

// print prints the table and returns how many were lost.
func (l *ledger) print(w io.Writer, asJSON bool) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.late)
	at := func(q float64) float64 {
		if len(l.late) == 0 {
			return 0
		}
		return float64(l.late[int(q*float64(len(l.late)-1))].Microseconds()) / 1000
	}
	s := l.sums
	s.P50, s.P99, s.Max = at(0.5), at(0.99), at(1)
	fmt.Fprintln(os.Stderr)
	if asJSON {
		b, err := json.Marshal(s)
		fmt.Fprintf(w, "%s\n", b)
		return s.Lost, err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		name  string
		value any
	}{
		{"created", s.Created}, {"deleted", s.Deleted}, {"delivered", s.Delivered}, {"confirmed", s.Confirmed},
		{"rolled back", s.RolledBack}, {"early", s.Early}, {"lost", s.Lost}, {"duplicates", s.Duplicates},
		{"late p50 (ms)", s.P50}, {"late p99 (ms)", s.P99}, {"late max (ms)", s.Max},
	} {
		fmt.Fprintf(t, "%s\t%v\n", row.name, row.value)
	}
	return s.Lost, t.Flush()
}
