package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// LowBound: no row is due before the low bound, so that reads may start there. A deleted row
// stays in the table, dead, until no transaction can see it any more. Behind an old
// transaction there are millions of dead rows, all of them at the head of the table, and
// a read that starts at the head reads them all (docs/model/lowbound.pml).
//
// Protocol. The bound is a value in {ns}_meta. It is changed by compare and swap alone, and each
// change gives it another version.
//
//   - A writer (Create, Move) of a recent row, which is due at now - recentFor or later, does
//     nothing, because the bound stays boundMargin behind now. A writer of an earlier row holds
//     the bound before it commits: it lowers the bound to the row's due time if need be, and for
//     holdFor no process raises it above that.
//   - After its commit a writer looks at the time again. If the commit took longer than
//     commitWithin, or ended later than holdValidFor after the writer held the bound, it holds
//     the bound now, and answers only then.
//   - A raiser (Advance) reads the value. Then it looks for the first row between the bound and
//     an end: now - boundMargin, or a hold that has not ended if that is earlier. Then it swaps.
//     If a writer has held the bound meanwhile, the swap fails.
//   - A reader reads the bound, and then rows from there on. It misses only rows that are committed
//     after it has read the bound.
//
// A row may be below the bound nevertheless, if its writer died right after a commit that took
// long, or is a process of an older version, or has a clock that differs by more than
// clocksDiffer. Every sweepEvery, Advance looks for rows below the bound, a bounded part
// at a time, and lowers the bound to the first row that it finds.
const (
	recentFor    = 5 * time.Second
	commitWithin = 5 * time.Second
	clocksDiffer = 10 * time.Second
	boundMargin  = recentFor + commitWithin + clocksDiffer
	holdValidFor = 30 * time.Second
	holdFor      = holdValidFor + 3*clocksDiffer
	// holdGrain: the time of a hold is rounded down to a multiple of it, so that a writer of ever
	// earlier rows does not hold the bound for each.
	holdGrain  = 10 * time.Minute
	sweepEvery = 10 * time.Minute
	// stepsAtOnce is how many looks for rows, of which each takes a second at most, Advance
	// makes in one call to raise the bound.
	stepsAtOnce = 10
	// raiseBy is the least step by which the bound is raised, so that an idle namespace is seldom
	// written to.
	raiseBy   = 10 * time.Second
	swapTries = 10
)

// lowName is the name under which the bound is recorded.
const lowName = "low_bound"

// lowBound is the recorded value. The zero one means that nothing is recorded.
type lowBound struct {
	Ver     int64 // random, of each change
	LowMS   int64 // no row is due before it
	HoldMS  int64 // no process raises LowMS above it before UntilMS
	UntilMS int64 // when the hold ends
	SweepMS int64 // how far the sweep that is under way has come; 0: none is under way
	SweptMS int64 // when the last sweep ended
}

func (b lowBound) text() []byte {
	return fmt.Appendf(nil, "%d %d %d %d %d %d", b.Ver, b.LowMS, b.HoldMS, b.UntilMS, b.SweepMS, b.SweptMS)
}

func parseLow(text []byte) (b lowBound, err error) {
	n, err := fmt.Sscanf(string(text), "%d %d %d %d %d %d", &b.Ver, &b.LowMS, &b.HoldMS, &b.UntilMS, &b.SweepMS, &b.SweptMS)
	if err != nil || n != 6 || string(b.text()) != string(text) {
		return b, fmt.Errorf("%w: the recorded low bound is %.64q, which this library does not know", task.ErrRefused, text)
	}
	return b, nil
}

// lowState is what this process knows of the bound.
type lowState struct {
	now func() time.Time

	mu     sync.Mutex
	known  int64 // the bound as it was read last
	read   time.Time
	holds  bool
	heldMS int64 // what this process has held the bound at
	held   time.Time
	halved int  // how often a range is halved before rows are looked for in it
	cut    bool // the server has ended a statement of this call of Advance because it took too long
}

// width returns which part of a range one statement reads.
func (l *lowState) width(of int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(1, of>>l.halved)
}

func (l *lowState) halve() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.halved, l.cut = min(l.halved+1, 62), true
}

// begin begins a call of Advance. If the server has ended no statement of the call before, ranges are halved once less.
func (l *lowState) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.cut {
		l.halved = max(0, l.halved-1)
	}
	l.cut = false
}

// elapsed is how long ago t was, by the monotonic clock or by the wall clock, whichever says more: the
// wall clock goes on while a machine is suspended.
func (l *lowState) elapsed(t time.Time) time.Duration {
	now := l.now()
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}

func (l *lowState) learn(b lowBound, asked time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.read = b.LowMS, asked
}

// recent reports whether a row is due so late that the bound cannot have reached it. If the
// bound was higher than this process's clock allows, that clock is behind, and recent goes by the
// bound and not by the clock.
func (l *lowState) recent(nextMS int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.now().UnixMilli()
	if l.known > 0 {
		from = max(from, l.known+(boundMargin+l.elapsed(l.read)).Milliseconds())
	}
	return nextMS >= from-recentFor.Milliseconds()
}

// isHeld reports whether this process holds the bound at or before nextMS, for long enough still.
func (l *lowState) isHeld(nextMS int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holds && l.heldMS <= nextMS && l.elapsed(l.held) <= holdValidFor
}

func (l *lowState) noteHold(ms int64, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds, l.heldMS, l.held = true, ms, at
}

// aboveBound runs commit, which commits rows. The first of them is next offered at nextMS. aboveBound makes sure
// that none of them is below the bound afterwards.
func (m *MySQL) aboveBound(ctx context.Context, conn *sql.Conn, nextMS int64, commit func() error) error {
	looked := m.low.now()
	recent := m.low.recent(nextMS)
	if !recent && !m.low.isHeld(nextMS) {
		if err := m.hold(ctx, conn, nextMS); err != nil {
			return err
		}
	}
	if err := commit(); err != nil {
		return err
	}
	if recent && m.low.elapsed(looked) <= commitWithin || m.low.isHeld(nextMS) {
		return nil
	}
	return m.hold(ctx, conn, nextMS)
}

// hold makes sure that no process raises the bound above nextMS for holdFor, and lowers the bound to nextMS if need be.
func (m *MySQL) hold(ctx context.Context, conn *sql.Conn, nextMS int64) error {
	nextMS = max(0, nextMS-nextMS%holdGrain.Milliseconds())
	if _, err := m.turnFresh(ctx, conn); err != nil {
		return err
	}
	for range swapTries {
		is, err := m.readLow(ctx, conn)
		if err != nil {
			return err
		}
		now := m.low.now()
		to := is
		to.LowMS = min(is.LowMS, nextMS)
		if to.HoldMS = nextMS; now.UnixMilli() < is.UntilMS {
			to.HoldMS = min(is.HoldMS, nextMS)
		}
		to.UntilMS = max(is.UntilMS, now.Add(holdFor).UnixMilli())
		swapped, err := m.swapLow(ctx, conn, is, to)
		if err != nil {
			return err
		}
		if swapped {
			m.low.noteHold(to.HoldMS, now)
			return nil
		}
	}
	return fmt.Errorf("%w: the low bound was changed by others %d times while it was to be held", task.ErrUnavailable, swapTries)
}

func (m *MySQL) readLow(ctx context.Context, conn *sql.Conn) (b lowBound, err error) {
	asked := m.low.now()
	var value []byte
	err = conn.QueryRowContext(ctx, m.sql["get_meta"], []byte(lowName)).Scan(&value)
	if err == nil {
		b, err = parseLow(value)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	if err == nil {
		m.low.learn(b, asked)
	}
	return b, err
}

// learnLow removes the bound from the records, and notes it: creators read the records from time to time.
func (m *MySQL) learnLow(values map[string]string, asked time.Time) error {
	value, is := values[lowName]
	if !is {
		return nil
	}
	delete(values, lowName)
	b, err := parseLow([]byte(value))
	if err == nil {
		m.low.learn(b, asked)
	}
	return err
}

// swapLow records to, with a version of its own, if is is what is recorded.
func (m *MySQL) swapLow(ctx context.Context, conn *sql.Conn, is, to lowBound) (bool, error) {
	to.Ver = task.NewVer()
	stmt, args := m.sql["insert_meta"], []any{[]byte(lowName), to.text()}
	if is != (lowBound{}) {
		stmt, args = m.sql["swap_meta"], []any{to.text(), []byte(lowName), is.text()}
	}
	m.next(ctx)
	if _, err := conn.ExecContext(ctx, stmt, args...); err != nil {
		return false, err
	}
	now, err := m.readLow(ctx, conn) // not by the count, which does not include a try whose answer was lost
	return err == nil && now == to, err
}

// startOf returns where a read of the rows after a cursor starts.
func (m *MySQL) startOf(ctx context.Context, conn *sql.Conn, after task.Cursor) (task.Cursor, error) {
	m.low.mu.Lock()
	above := after.NextMS > m.low.known
	m.low.mu.Unlock()
	if above { // the bound can only have been lowered below the cursor
		return after, nil
	}
	b, err := m.readLow(ctx, conn)
	if err == nil && after.NextMS < b.LowMS {
		after = task.Cursor{NextMS: b.LowMS}
	}
	return after, err
}

// Advance implements Store: it raises the low bound, and looks for rows below it.
func (m *MySQL) Advance(ctx context.Context, nowMS int64) error {
	nowMS = min(nowMS, m.low.now().UnixMilli())
	m.low.begin()
	for range stepsAtOnce {
		more, err := m.step(ctx, "raise the low bound", func(ctx context.Context, conn *sql.Conn, is lowBound) (lowBound, bool, error) {
			return m.raise(ctx, conn, is, nowMS)
		})
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	_, err := m.step(ctx, "sweep below the low bound", func(ctx context.Context, conn *sql.Conn, is lowBound) (lowBound, bool, error) {
		to, err := m.sweep(ctx, conn, is, nowMS)
		return to, false, err
	})
	return err
}

// step reads the bound and swaps it for what change returns. It reports whether there is more to do; there is not if
// another process has changed the bound meanwhile.
func (m *MySQL) step(ctx context.Context, act string, change func(context.Context, *sql.Conn, lowBound) (lowBound, bool, error)) (more bool, err error) {
	err = m.bounded(ctx, act, func(ctx context.Context, conn *sql.Conn) error {
		is, err := m.readLow(ctx, conn)
		if err != nil {
			return err
		}
		to, further, err := change(ctx, conn, is)
		if err != nil || to == is {
			more = false
			return err
		}
		swapped, err := m.swapLow(ctx, conn, is, to)
		more = swapped && further
		return err
	})
	return more, err
}

// raise returns the bound as it may be now, and whether it may be raised further.
func (m *MySQL) raise(ctx context.Context, conn *sql.Conn, is lowBound, nowMS int64) (to lowBound, more bool, err error) {
	top := nowMS - boundMargin.Milliseconds()
	if nowMS < is.UntilMS {
		top = min(top, is.HoldMS)
	}
	if to = is; top < is.LowMS+raiseBy.Milliseconds() {
		return to, false, nil
	}
	end, first, found, err := m.firstOf(ctx, conn, is.LowMS, top)
	if err != nil {
		return to, false, err
	}
	if to.LowMS = end; found {
		to.LowMS = first
	}
	if is.SweptMS == 0 {
		to.SweptMS = nowMS
	}
	if to.LowMS == is.LowMS {
		to = is
	}
	return to, !found && end > is.LowMS && end < top, nil
}

// sweep returns the bound after a step of the sweep, if it is time for one. The value differs
// even if nothing was found, so that a raiser that looked before a row was committed does not swap
// after the sweep.
func (m *MySQL) sweep(ctx context.Context, conn *sql.Conn, is lowBound, nowMS int64) (to lowBound, err error) {
	to = is
	every := sweepEvery.Milliseconds()
	if is.LowMS == 0 || is.SweepMS == 0 && is.SweptMS <= nowMS && nowMS < is.SweptMS+every {
		return to, nil
	}
	end, first, found, err := m.firstOf(ctx, conn, is.SweepMS, is.LowMS)
	if err != nil {
		return is, err
	}
	if to.SweepMS = end; found {
		to.LowMS = first
	}
	if found || end == is.LowMS {
		to.SweepMS, to.SweptMS = 0, nowMS
	}
	return to, nil
}

// firstOf looks for the first row in a range of due times, or in the earlier part of the range, which
// ends at end. A range with millions of dead rows takes too long to read at once, and no
// statistics of the server count them. If the server ends the statement, firstOf finds nothing and
// end is from: the next call of Advance tries half the range.
func (m *MySQL) firstOf(ctx context.Context, conn *sql.Conn, from, below int64) (end, first int64, found bool, err error) {
	if below <= from {
		return below, 0, false, nil
	}
	width := m.low.width(below - from)
	var created int64
	m.next(ctx)
	err = conn.QueryRowContext(ctx, m.sql["first_task"], from, from+width).Scan(&first, &created)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return from + width, 0, false, nil
	case err != nil && width > 1 && (number(err) == 3024 || number(err) == 1969): // max_execution_time, max_statement_time
		m.low.halve()
		return from, 0, false, nil
	}
	return from + width, first, err == nil, err
}
