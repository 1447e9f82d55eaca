package main

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// ledger writes down what was asked for and what was delivered, and judges: each
// task that is expected exactly once, none before its time.
type ledger struct {
	due  []int64        // by index: unix microseconds before which it must not come; 0: it must not come at all
	at   []atomic.Int64 // by index: when it came first, unix microseconds
	done chan struct{}  // closed once all that is expected has come

	left   atomic.Int64
	once   sync.Once
	twice  atomic.Int64
	ghosts atomic.Int64 // deliveries of what was not expected
}

func newLedger(n int) *ledger {
	return &ledger{due: make([]int64, n), at: make([]atomic.Int64, n), done: make(chan struct{})}
}

// expect says that task i is to come at due or later. Before the first delivery.
func (l *ledger) expect(i int, due time.Time) {
	l.due[i] = due.UnixMicro()
	l.left.Add(1)
}

// deliver notes a delivery.
func (l *ledger) deliver(id string, at time.Time) { l.note(indexOf(id), at) }

func (l *ledger) note(i int, at time.Time) {
	if i < 0 || i >= len(l.at) || l.due[i] == 0 {
		l.ghosts.Add(1)
		return
	}
	if !l.at[i].CompareAndSwap(0, at.UnixMicro()) {
		l.twice.Add(1)
		return
	}
	if l.left.Add(-1) == 0 {
		l.once.Do(func() { close(l.done) })
	}
}

// judge says what is wrong with the deliveries, or nil.
func (l *ledger) judge() error { return l.verdict(false) }

// verdict is judge, of deliveries that may come again if again says so.
func (l *ledger) verdict(again bool) error {
	lost, early := 0, 0
	for i, due := range l.due {
		at := l.at[i].Load()
		switch {
		case due != 0 && at == 0:
			lost++
		case due != 0 && at < due:
			early++
		}
	}
	if twice, ghosts := l.twice.Load(), l.ghosts.Load(); lost+early > 0 || twice > 0 && !again || ghosts > 0 {
		return fmt.Errorf("of %d tasks %d are lost, %d came early, %d came again, %d came unexpected", len(l.due), lost, early, twice, ghosts)
	}
	return nil
}

// span is when the first delivery and the last came.
func (l *ledger) span() (first, last time.Time) {
	from, to := int64(math.MaxInt64), int64(0)
	for i := range l.at {
		if at := l.at[i].Load(); at != 0 {
			from, to = min(from, at), max(to, at)
		}
	}
	return time.UnixMicro(from), time.UnixMicro(to)
}

// late is how late each delivery was.
func (l *ledger) late() []time.Duration {
	var all []time.Duration
	for i, due := range l.due {
		if at := l.at[i].Load(); at != 0 {
			all = append(all, time.Duration(at-due)*time.Microsecond)
		}
	}
	return all
}

// since is how long after t each delivery was.
func (l *ledger) since(t time.Time) []time.Duration {
	var all []time.Duration
	for i := range l.at {
		if at := l.at[i].Load(); at != 0 {
			all = append(all, time.Duration(at-t.UnixMicro())*time.Microsecond)
		}
	}
	return all
}
