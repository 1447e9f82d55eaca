package triggerhook

import (
	"context"
	"errors"
	"fmt"
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
	// laterCall bounds the addition of up to pageRows of them.
	laterCall = 5 * time.Second
)

// later holds the versions of tasks that were created, or given another due time, while
// the hot set did not answer. The feeder has read past their due times, perhaps, and the
// auditor would find them only after its grace.
type later struct {
	retry retrier

	mu    sync.Mutex
	since map[task.Ref]time.Time // when each began to wait
}

func (s *Scheduler) initLater() {
	s.later.since = map[task.Ref]time.Time{}
	s.later.retry = retrier{pause: hotRest, rest: true, round: s.repeatAdds,
		waiting: s.later.any}
}

// addLater adds rows once the hot set answers again. They stand already, or may stand.
func (s *Scheduler) addLater(rows []task.Row) {
	if len(rows) == 0 {
		return
	}
	if over := s.later.push(rows); over > 0 {
		s.leave(over, fmt.Errorf("%d tasks wait to be added already", laterLimit))
	}
	s.later.retry.start()
}

// leave reports that n tasks are not added by this process.
func (s *Scheduler) leave(n int, err error) {
	s.trouble.leave(n, err)
	s.report.Error("add tasks later", err, "the auditor finds them", "tasks", n)
}

// repeatAdds tries all that wait once.
func (s *Scheduler) repeatAdds(ctx context.Context) {
	for p, all := range s.later.byPartition(s.parts) {
		for rows := range slices.Chunk(all, pageRows) {
			call, cancel := context.WithTimeout(ctx, laterCall)
			err := s.addAgain(call, p, rows)
			cancel()
			if errors.Is(err, ErrClosed) {
				s.giveUp(err)
				return
			}
			if err != nil && ctx.Err() != nil {
				return // cut off
			}
			s.trouble.note(err)
			s.report.Error("add created tasks", err, "tried again in a second", "partition", p)
			in := err == nil || errors.Is(err, ErrMismatch) // another store's hot set is no place for them
			if n := s.later.done(rows, in); n > 0 {
				s.leave(n, fmt.Errorf("they have waited for %s: %w", laterFor, err))
			}
			if ctx.Err() != nil {
				return
			}
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

// push queues rows, and returns how many of them there is no place for.
func (l *later) push(rows []task.Row) (over int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, r := range rows {
		if _, waits := l.since[r.Ref]; waits || len(l.since) < laterLimit {
			l.since[r.Ref] = now
		} else {
			over++
		}
	}
	return over
}

func (l *later) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.since) > 0
}

// count returns how many have waited since then at the latest.
func (l *later) count(then time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, since := range l.since {
		if !since.After(then) {
			n++
		}
	}
	return n
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

// done forgets rows that are in, or that have waited for too long; it returns how many of
// these there are.
func (l *later) done(rows []task.Row, in bool) (late int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rows {
		since, waits := l.since[r.Ref]
		if waits && (in || time.Since(since) > laterFor) {
			delete(l.since, r.Ref)
			if !in {
				late++
			}
		}
	}
	return late
}

// clear forgets all, and returns how many there were.
func (l *later) clear() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.since)
	clear(l.since)
	return n
}
