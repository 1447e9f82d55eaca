package triggerhook

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

const (
	// laterLimit is how many created tasks wait at most to be added later; what
	// is above it, and what laterFor is over for, the auditor finds.
	laterLimit = 100_000
	laterFor   = time.Minute
)

// later holds the versions of tasks that were created while the hot set did not
// answer. The feeder has read past their due times, perhaps, and the auditor
// would find them only after its grace.
//
// A goroutine exists only while some wait, and ends with the last of them.
type later struct {
	mu    sync.Mutex
	since map[task.Ref]time.Time
}

// addLater adds rows once the hot set answers again. They stand already.
func (s *Scheduler) addLater(rows []task.Row) {
	if len(rows) == 0 {
		return
	}
	l := &s.later
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since == nil {
		l.since = map[task.Ref]time.Time{}
		go s.repeatAdds()
	}
	now := time.Now()
	for _, r := range rows[:min(len(rows), laterLimit-len(l.since))] {
		l.since[r.Ref] = now
	}
}

// repeatAdds tries once a hotRest until nobody waits.
func (s *Scheduler) repeatAdds() {
	for {
		sleep(context.Background(), hotRest)
		for p, all := range s.later.byPartition(s.parts) {
			for rows := range slices.Chunk(all, pageRows) {
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				err := s.addAgain(ctx, p, rows)
				cancel()
				s.report.Error("add created tasks", err, "tried again in a second", "partition", p)
				s.later.done(rows, err == nil || errors.Is(err, ErrMismatch)) // another store's hot set is no place for them
			}
		}
		if s.later.end() {
			return
		}
	}
}

// addAgain reads which of rows still stand, after it has seen the time (rule 3).
func (s *Scheduler) addAgain(ctx context.Context, p int, rows []task.Row) error {
	asOf, stand, err := s.again(ctx, p, rows)
	if err != nil || len(stand) == 0 {
		return err
	}
	n, err := s.add(ctx, p, asOf, stand)
	s.counts.preloaded.Add(uint64(n))
	return err
}

func (l *later) byPartition(parts int) map[int][]task.Row {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[int][]task.Row{}
	for ref := range l.since {
		p := task.Partition(ref.ID, parts)
		all[p] = append(all[p], task.Row{Ref: ref})
	}
	return all
}

// done forgets rows that are in, or that have waited for too long.
func (l *later) done(rows []task.Row, in bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rows {
		if in || time.Since(l.since[r.Ref]) > laterFor {
			delete(l.since, r.Ref)
		}
	}
}

// end reports whether nobody waits; the next one begins anew then.
func (l *later) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.since) == 0 {
		l.since = nil
	}
	return l.since == nil
}
