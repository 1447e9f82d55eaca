package consumer

import (
	"fmt"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

// loopOf returns the claim loop's state of a consumer for which so many callers wait.
func loopOf(waiters int, o Options) *claimer {
	o.Report = &report.Reporter{}
	c := New(nil, nil, o)
	c.waiters = make([]chan *Delivery, waiters)
	return newClaimer(c)
}

func TestWhatIsUnderWayIsNotWantedTwice(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		age                    time.Duration // of the claim of partition 0, for 3 tasks
		o                      Options
		unanswered             int
		wanted, allowed, ahead int
	}{
		"wanted":          {0, Options{Queue: 100, Ahead: time.Millisecond}, 0, 5, 5, 5},
		"no answer":       {time.Second, Options{Queue: 100, Ahead: time.Millisecond}, 0, 8, 8, 8},
		"queue":           {time.Second, Options{Queue: 8}, 0, 5, 5, 0},
		"MaxRate":         {0, Options{Queue: 100, MaxRate: 4}, 0, 5, 1, 0},
		"MaxRate, hung":   {time.Second, Options{Queue: 100, MaxRate: 4}, 0, 8, 1, 0},
		"MaxRate, repeat": {time.Second, Options{Queue: 100, MaxRate: 4}, 3, 8, 4, 0},
	} {
		c.o.Partitions = 2
		l := loopOf(8, c.o)
		l.unanswered[0] = c.unanswered
		l.asking[0] = &asking{p: 0, sent: now.Add(-c.age), req: task.ClaimRequest{Limit: 3, AheadLimit: 3}}
		wanted, allowed := l.wanted(now)
		if wanted != c.wanted || allowed != c.allowed || l.ahead() != c.ahead {
			t.Errorf("%s: beside a claim of 3 tasks %d are wanted, %d allowed, %d ahead; want %d, %d, %d", name, wanted, allowed, l.ahead(), c.wanted, c.allowed, c.ahead)
		}
	}
}

func TestSharesAreAlike(t *testing.T) {
	for _, c := range []struct {
		n, among int
		want     string
	}{{8, 3, "[3 3 2]"}, {2, 4, "[1 1 0 0]"}, {0, 2, "[0 0]"}, {-3, 2, "[0 0]"}, {5, 1, "[5]"}} {
		left, got := c.n, make([]int, c.among)
		for i := range got {
			got[i] = share(&left, c.among-i)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%d among %d: %v, want %s", c.n, c.among, got, c.want)
		}
	}
}

func TestAClaimThatFailedRestsThoughItWasWoken(t *testing.T) {
	l := loopOf(1, Options{Partitions: 2, Queue: 10})
	now := time.Now()
	l.take(t.Context(), &asking{p: 1, err: task.ErrUnavailable, answered: now, woken: true})
	if rest := l.next[1].Sub(now); rest < claimRetry {
		t.Errorf("a claim that failed is repeated after %s, want %s", rest, claimRetry)
	}
}

func TestAProbeAsksAPartitionThatHasNoClaimUnderWay(t *testing.T) {
	l := loopOf(0, Options{Partitions: 3, Queue: 10})
	l.c.queue.push(&Delivery{})
	probes := func() (asked []int) {
		l.woken, l.probed = true, time.Time{}
		l.probe(func(p int) { asked = append(asked, p) })
		return asked
	}
	l.asking[0] = &asking{}
	if asked := probes(); fmt.Sprint(asked) != "[1]" {
		t.Errorf("a probe asked the partitions %v, want 1, because 0 has a claim under way", asked)
	}
	l.asking[1], l.asking[2] = &asking{}, &asking{}
	if asked := probes(); len(asked) > 0 || !l.woken {
		t.Errorf("with claims of all partitions under way a probe asked %v, and the wake-up is kept: %t; want none, and true", asked, l.woken)
	}
}
