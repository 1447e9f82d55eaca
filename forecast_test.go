package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// forecast asks for times that are out of order, one of them twice, and compares the numbers.
func forecast(t *testing.T, sch *triggerhook.Scheduler, when string, minute, hour, day int64) {
	t.Helper()
	within := []time.Duration{24 * time.Hour, time.Minute, time.Hour, time.Minute}
	got, err := sch.Forecast(t.Context(), within...)
	if err != nil || len(got) != len(within) {
		t.Fatalf("%s: Forecast answered %v, %v", when, got, err)
	}
	for i, want := range []int64{day, minute, hour, minute} {
		if got[i] != (triggerhook.Forecast{Within: within[i], Tasks: want}) {
			t.Errorf("%s: %+v, want exactly %d tasks within %s", when, got[i], want, within[i])
		}
	}
}

// due creates n tasks that are due at the same time from now.
func due(t *testing.T, sch *triggerhook.Scheduler, name string, n int, in time.Duration) {
	t.Helper()
	for i := range n {
		if err := sch.Create(t.Context(), &triggerhook.Task{ID: fmt.Sprint(name, i), Due: time.Now().Add(in)}); err != nil {
			t.Fatal(err)
		}
	}
}

// Each task is counted once, wherever it is: in the rows alone, in both stores, or claimed, in which case it is not counted.
func TestForecastCountsEachTaskOnce(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{})
		due(t, sch, "late", 2, -time.Hour)
		due(t, sch, "minute", 3, time.Minute)
		due(t, sch, "hour", 4, 50*time.Minute)
		due(t, sch, "day", 5, 23*time.Hour)
		due(t, sch, "month", 6, 700*time.Hour)
		forecast(t, sch, "before the first Run", 5, 9, 14)
		stop := run(t, sch)
		sleep(t, 30*time.Second)
		due(t, sch, "added", 7, 20*time.Second)
		forecast(t, sch, "while the hot set is full", 12, 16, 21)
		var late []*triggerhook.Delivery // both: one that is overdue may be in the worker's queue
		for range 2 {
			d, err := sch.Consume(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			late = append(late, d)
		}
		forecast(t, sch, "with two tasks in hand", 10, 14, 19)
		for _, d := range late {
			if err := d.Rollback(t.Context(), 10*time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		forecast(t, sch, "with two that were rolled back far", 10, 16, 21)
		stop()
	})
}

// asked notes from when on the rows were counted, and answers as if there were too many of them.
type asked struct {
	durable.Store
	from []int64
}

func (a *asked) CountBefore(_ context.Context, fromMS int64, beforeMS []int64, limit int) ([]task.Count, error) {
	a.from = append(a.from, fromMS)
	all := make([]task.Count, len(beforeMS))
	for i := range all {
		all[i] = task.Count{N: int64(limit + 1)}
	}
	return all, nil
}

// What the hot set has loaded is exact though the rows beyond it are estimated, and costs no statement by itself.
func TestForecastIsAnEstimateOnlyBeyondTheHotSet(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		store := &asked{Store: s.store}
		s.store = store
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 30*time.Second)
		due(t, sch, "soon", 3, 10*time.Second)
		near, err := sch.Forecast(t.Context(), 20*time.Second)
		if err != nil || near[0].Tasks != 3 || near[0].Estimated || len(store.from) != 0 {
			t.Errorf("within the window: %+v, %v after %d statements; want exactly 3 tasks after none", near, err, len(store.from))
		}
		both, err := sch.Forecast(t.Context(), time.Hour, 20*time.Second)
		if err != nil || !both[0].Estimated || both[0].Tasks <= 10_000 || both[1].Estimated || both[1].Tasks != 3 {
			t.Errorf("beyond the window: %+v, %v; want an estimate above 10,000, and exactly 3 tasks", both, err)
		}
		if ahead := store.from[0] - time.Now().UnixMilli(); len(store.from) != 1 || ahead < 50_000 {
			t.Errorf("rows were counted from %d ms ahead on, %d times; want once, from the horizon on", ahead, len(store.from))
		}
		stop()
	})
}

// fallen is a set that lost rows after its state was read: for some calls it is cold, or has loaded less.
type fallen struct {
	hotset.Set
	cold, retreated int
}

func (f *fallen) Waiting(ctx context.Context, p int, belowMS ...int64) (task.WaitingCounts, error) {
	c, err := f.Set.Waiting(ctx, p, belowMS...)
	switch {
	case f.cold > 0:
		f.cold--
		return task.WaitingCounts{}, task.ErrCold
	case f.retreated > 0:
		f.retreated--
		c.Loaded, c.Counts = task.Cursor{NextMS: 1}, make([]int64, len(belowMS))
	}
	return c, err
}

// A count that met a partition below the line is of no use: it lacks rows.
func TestForecastIsMadeAnewWhereTheHotSetFell(t *testing.T) {
	bubbles(t, func(t *testing.T, s stores) {
		set := &fallen{Set: s.set}
		s.set = set
		sch := s.scheduler(t, triggerhook.Options{})
		stop := run(t, sch)
		sleep(t, 30*time.Second)
		due(t, sch, "soon", 3, 20*time.Second)
		for range 2 {
			set.cold = 1
			forecast(t, sch, "after a cold answer", 3, 3, 3)
			set.retreated = 1
			forecast(t, sch, "after a retreat", 3, 3, 3)
		}
		set.retreated = math.MaxInt
		if got, err := sch.Forecast(t.Context(), time.Minute); !errors.Is(err, triggerhook.ErrUnavailable) {
			t.Errorf("of a set that falls each time: %v, %v; want ErrUnavailable", got, err)
		}
		set.retreated = 0
		stop()
	})
}

func TestForecastRefusesBadTimes(t *testing.T) {
	sch := embedded(t, 1).scheduler(t, triggerhook.Options{})
	for _, within := range [][]time.Duration{nil, {0}, {time.Minute, -time.Second}, make([]time.Duration, 101)} {
		if got, err := sch.Forecast(t.Context(), within...); !errors.Is(err, triggerhook.ErrInvalid) {
			t.Errorf("Forecast within %v answered %v, %v; want ErrInvalid", within, got, err)
		}
	}
	if got, err := sch.Forecast(t.Context(), math.MaxInt64, 1); err != nil || len(got) != 2 {
		t.Errorf("Forecast within the longest and the shortest time answered %v, %v", got, err)
	}
}
