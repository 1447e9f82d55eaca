package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A gap is a time without a delivery within which a task fell due. What comes long after all others because a dead process held it is
// late, and no gap.
func TestTheGapAfterAFault(t *testing.T) {
	base := time.UnixMilli(1_700_000_000_000)
	for name, c := range map[string]struct {
		fault            int
		due, came        []int // ms
		gap, first, most int
	}{
		"nothing happens":               {20, []int{0, 10, 20, 30}, []int{1, 11, 21, 31}, 10, 1, 1},
		"it stops at once":              {15, []int{0, 10, 20, 30}, []int{1, 11, 500, 501}, 485, 485, 480},
		"it stops later":                {15, []int{0, 10, 20, 30, 40}, []int{1, 11, 21, 700, 701}, 679, 6, 670},
		"the last was held by the dead": {15, []int{0, 10, 20, 30}, []int{1, 9_000, 21, 31}, 10, 6, 1},
		"nothing is due for a while":    {15, []int{0, 10, 800, 810}, []int{1, 11, 801, 811}, 786, 786, 1},
	} {
		at := func(ms []int) (all []time.Time) {
			for _, v := range ms {
				all = append(all, base.Add(time.Duration(v)*time.Millisecond))
			}
			return all
		}
		gap, first, late := afterFault(base.Add(time.Duration(c.fault)*time.Millisecond), at(c.due), at(c.came))
		most := slices.Max(late)
		if got, want := [3]time.Duration{gap, first, most}, [3]int{c.gap, c.first, c.most}; got[0].Milliseconds() != int64(want[0]) ||
			got[1].Milliseconds() != int64(want[1]) || got[2].Milliseconds() != int64(want[2]) {
			t.Errorf("%s: gap, first and most lateness are %v, want %v ms", name, got, want)
		}
	}
}

// Only a fault that explains it may have tasks delivered again; none excuses a loss.
func TestAVerdictMayAllowSecondDeliveries(t *testing.T) {
	l := newLedger(2)
	past := time.Now().Add(-time.Second)
	l.expect(0, past)
	l.expect(1, past)
	l.note(0, time.Now())
	l.note(0, time.Now())
	if err := l.verdict(true); err == nil || !strings.Contains(err.Error(), "1 are lost") {
		t.Errorf("with a task that is lost the verdict is %v", err)
	}
	l.note(1, time.Now())
	if again, strict := l.verdict(true), l.verdict(false); again != nil || strict == nil {
		t.Errorf("with a task that came twice the verdicts are %v and %v, want none and one", again, strict)
	}
}

// A call that creates and fails ends the measurement at once, with its error.
func TestLatenessEndsWithACreateThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{job: job{Scenario: "lateness", System: "full", N: 10, Variant: variant{Rate: 100}}, sys: &full{}, meter: &meter{}}
		began := time.Now()
		_, err := measureLateness(t.Context(), s)
		if err == nil || !strings.Contains(err.Error(), "no room") || time.Since(began) > stuck/2 {
			t.Errorf("after %s the error is %v, want that of the call, soon", time.Since(began), err)
		}
	})
}

// full is a system that has no room for tasks.
type full struct{ system }

func (*full) create(context.Context, []item) error { return errors.New("no room") }
func (*full) start(context.Context) error          { return nil }
func (*full) calls() int64                         { return -1 }
func (*full) settled(context.Context) (int, error) { return 0, nil }
func (*full) consume(ctx context.Context, _ consumption) error {
	<-ctx.Done()
	return nil
}
