package main

import (
	"strings"
	"testing"
	"time"
)

// A history of three tasks due at 100, 200 and 300 ms, and of one that no caller asked
// for. Each delivery is an index and when it comes, in ms.
func TestTheJudgeFindsBadHistories(t *testing.T) {
	type delivery struct{ i, at int }
	good := []delivery{{1, 200}, {0, 150}, {2, 301}}
	for name, c := range map[string]struct {
		history []delivery
		want    string // in the verdict; empty: nothing is wrong
	}{
		"each once and in time":    {good, ""},
		"one is lost":              {good[:2], "1 are lost, 0 came early, 0 came again, 0 came unexpected"},
		"all are lost":             {nil, "3 are lost"},
		"one is early":             {[]delivery{{0, 99}, {1, 200}, {2, 300}}, "0 are lost, 1 came early"},
		"one comes twice":          {append(good, delivery{1, 250}), "0 are lost, 0 came early, 1 came again"},
		"one comes three times":    {append(good, delivery{1, 250}, delivery{1, 260}), "2 came again"},
		"one was not asked for":    {append(good, delivery{3, 100}), "1 came unexpected"},
		"one has a strange id":     {append(good, delivery{-1, 100}), "1 came unexpected"},
		"one is beyond the ledger": {append(good, delivery{4, 100}), "1 came unexpected"},
	} {
		t.Run(name, func(t *testing.T) {
			base := time.UnixMilli(1_700_000_000_000)
			after := func(ms int) time.Time { return base.Add(time.Duration(ms) * time.Millisecond) }
			l := newLedger(4)
			for i := range 3 {
				l.expect(i, after(100*(i+1)))
			}
			for _, d := range c.history {
				l.note(d.i, after(d.at))
			}
			err := l.judge()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("the judge says %v, want %q", err, c.want)
			}
		})
	}
}

func TestTheLedgerIsDoneWithTheLastTask(t *testing.T) {
	l := newLedger(2)
	due := time.Now().Add(-time.Second)
	l.expect(0, due)
	l.expect(1, due)
	l.deliver(idOf(1), time.Now())
	l.deliver(idOf(1), time.Now())
	select {
	case <-l.done:
		t.Fatal("done after one of two tasks, which came twice")
	default:
	}
	l.deliver(idOf(0), time.Now())
	<-l.done
	if late := l.late(); len(late) != 2 || late[0] < time.Second || late[1] < time.Second {
		t.Errorf("late by %v, want two of a second or more", late)
	}
}

func TestIdsTellTheirIndex(t *testing.T) {
	for _, i := range []int{0, 1, 9_999_999_999} {
		if got := indexOf(idOf(i)); got != i || len(idOf(i)) != 36 {
			t.Errorf("id %q tells %d, want %d", idOf(i), got, i)
		}
	}
	for _, id := range []string{"", "7", "018f0000-0000-7000-8000-00000000000x"} {
		if got := indexOf(id); got != -1 {
			t.Errorf("id %q tells %d, want -1", id, got)
		}
	}
}
