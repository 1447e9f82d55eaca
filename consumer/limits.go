package consumer

import (
	"time"

	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// fullSleep is how soon a partition that has MaxInFlight claimed members is asked again. A settlement
	// of this process has it asked at once.
	fullSleep = 50 * time.Millisecond
	// probeEvery is how often at most a process that has enough in its queue, and is woken, asks for a pause.
	probeEvery = 250 * time.Millisecond
)

// pace limits how many tasks this process claims in a second (Options.MaxRate). The claimer owns it.
// Time that was not used counts for a second, or for one task if that is more.
type pace struct {
	interval time.Duration // between two tasks; 0: no limit
	counted  time.Time     // up to when the time is used up, at one interval for each claimed task
}

func newPace(rate float64) pace {
	if rate == 0 {
		return pace{}
	}
	return pace{interval: task.RateInterval(rate)}
}

// allow returns how many of n tasks may be claimed now.
func (l *pace) allow(n int, now time.Time) int {
	if l.interval == 0 {
		return n
	}
	if earliest := now.Add(-max(time.Second, l.interval)); l.counted.Before(earliest) {
		l.counted = earliest
	}
	return min(n, int(now.Sub(l.counted)/l.interval))
}

// take notes that n tasks were claimed.
func (l *pace) take(n int) { l.counted = l.counted.Add(time.Duration(n) * l.interval) }

// next is when the next task is allowed, if those that are under way are taken.
func (l *pace) next(underWay int) time.Time {
	return l.counted.Add(time.Duration(underWay+1) * l.interval)
}

// count has pace count a claim of n tasks that got some. A claim without an answer counts as n, because its batch may exist. The claim that
// repeats it returns that batch, and then the number is corrected.
func (l *claimer) count(p, n, got int, answered bool) {
	before := l.unanswered[p]
	if l.unanswered[p] = 0; !answered && l.pace.interval > 0 {
		got = max(n, before)
		l.unanswered[p] = got
	}
	l.pace.take(got - before)
}

// request is the claim of n tasks from a partition, and of so many of them ahead.
func (c *Consumer) request(p int, token string, n, ahead int) task.ClaimRequest {
	r := task.ClaimRequest{Token: token, Limit: n, Lease: c.o.Lease, Interval: c.o.Interval}
	if ahead > 0 {
		r.Ahead, r.AheadLimit = c.o.Ahead, min(n, ahead)
	}
	if c.o.MaxInFlight != nil {
		r.MaxInFlight = c.o.MaxInFlight(p)
	}
	return r
}

// noteRoom has the claimer ask again the partitions that had MaxInFlight claimed members. Without MaxInFlight room is nil, and
// nothing happens.
func (c *Consumer) noteRoom() { wait.Wake(c.room) }

// roomMade has the partitions that had MaxInFlight claimed members asked at once.
func (l *claimer) roomMade() {
	for p, full := range l.full {
		if full {
			l.lookAt(p, time.Time{})
		}
		if a := l.asking[p]; a != nil {
			a.roomMade = true
		}
	}
}

// probe asks one partition for a pause, if this process was woken and claims nothing because enough waits in its
// queue. It returns when it is to be called again at the latest.
func (l *claimer) probe(look func(p int)) time.Duration {
	if !l.woken {
		return longestSleep
	}
	l.c.mu.Lock()
	queued := l.c.queue.len()
	l.c.mu.Unlock()
	if queued == 0 {
		l.woken = false
		return longestSleep
	}
	if left := probeEvery - time.Since(l.probed); left > 0 {
		return left
	}
	for i := range l.tokens {
		if p := (l.first + i) % len(l.tokens); l.asking[p] == nil {
			l.probed = time.Now()
			look(p)
			break
		}
	}
	return longestSleep
}
