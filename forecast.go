package triggerhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Forecast is how many tasks fall due within a time from now.
type Forecast struct {
	Within    time.Duration // from now on, by the clock of the hot set
	Tasks     int64         // unfinished tasks that are next offered by then; those that are overdue are among them
	Estimated bool          // Tasks is an estimate of the durable store
}

const (
	// exactForecast is how many tasks beyond the hot set a forecast counts exactly.
	exactForecast = 10_000
	// maxForecasts is how many times one call may ask for.
	maxForecasts = 100
	// forecastTries is how often a forecast is made anew because the hot set lost rows that it had loaded.
	forecastTries = 3
)

// statsForecasts are the times that Stats asks for.
var statsForecasts = []time.Duration{time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour}

// Forecast returns, for each of within and in their order, how many unfinished tasks fall due
// within that time. It does not count what a worker has in hand at present.
//
// The tasks that the hot set has loaded, up to about Window ahead, are counted exactly. Beyond it
// up to 10,000 tasks are counted exactly. If there are more, the number is an estimate of the
// durable store, which is marked: docs/operations.md says how far off it may be. So a forecast costs
// little however many tasks there are. While the hot set is being rebuilt, the rows are counted
// instead, and with them what workers have in hand. A task that was created or moved during the call
// may be counted or not.
//
// ErrInvalid: a time is not positive, or there are none, or more than 100.
func (s *Scheduler) Forecast(ctx context.Context, within ...time.Duration) ([]Forecast, error) {
	if err := checkWithin(within); err != nil {
		return nil, fmt.Errorf("forecast: %w", err)
	}
	states, err := s.states(ctx)
	if err != nil {
		return nil, fmt.Errorf("forecast: %w", err)
	}
	return s.forecast(ctx, states, within)
}

func checkWithin(within []time.Duration) error {
	if n := len(within); n < 1 || n > maxForecasts {
		return fmt.Errorf("%w: %d times, 1 to %d are allowed", ErrInvalid, n, maxForecasts)
	}
	for _, w := range within {
		if w <= 0 {
			return fmt.Errorf("%w: a forecast within %s, want a positive time", ErrInvalid, w)
		}
	}
	return nil
}

// states reads the state of each partition.
func (s *Scheduler) states(ctx context.Context) (all []task.State, err error) {
	for p := range s.parts {
		st, e := s.set.State(ctx, p)
		err = errors.Join(err, e)
		all = append(all, st)
	}
	return all, err
}

// forecast counts the tasks in two parts. All partitions have loaded the rows that are due before
// one time, the line: below it the waiting members are counted, and from it on the rows. A partition
// that lost its data, or retreated, since its state was read may have fallen below the line. Then the
// line is drawn anew.
func (s *Scheduler) forecast(ctx context.Context, states []task.State, within []time.Duration) (all []Forecast, err error) {
	nowMS := slices.MaxFunc(states, func(a, b task.State) int { return cmp.Compare(a.AsOf.TimeUS, b.AsOf.TimeUS) }).AsOf.TimeUS / 1000
	times := make([]int64, len(within))
	for i, w := range within {
		times[i] = nowMS + w.Milliseconds() + 1
	}
	slices.Sort(times)
	counts, err := s.countBefore(ctx, lineOf(states), times)
	for range forecastTries {
		if !errors.Is(err, errLineFell) && !errors.Is(err, task.ErrCold) {
			break
		}
		if states, err = s.states(ctx); err == nil {
			counts, err = s.countBefore(ctx, lineOf(states), times)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("forecast: %w", err)
	}
	for _, w := range within {
		i, _ := slices.BinarySearch(times, nowMS+w.Milliseconds()+1)
		all = append(all, Forecast{Within: w, Tasks: counts[i].N, Estimated: !counts[i].Exact})
	}
	return all, nil
}

// errLineFell: a partition no longer has all rows up to the line.
var errLineFell = fmt.Errorf("%w: the hot set lost tasks that it had loaded, again and again", ErrUnavailable)

// lineOf returns the time up to which all partitions have loaded the rows. It is 0 if one of them is cold.
func lineOf(states []task.State) int64 {
	line := task.MaxDue
	for _, st := range states {
		if st.AsOf.Generation == 0 {
			return 0
		}
		line = min(line, st.Loaded.NextMS)
	}
	return line
}

// countBefore counts the tasks that are next offered before each time: members below the line, and rows from it on.
func (s *Scheduler) countBefore(ctx context.Context, line int64, times []int64) ([]task.Count, error) {
	all := make([]task.Count, len(times))
	below := make([]int64, len(times))
	for i, ms := range times {
		all[i].Exact = true
		below[i] = min(ms, line)
	}
	for p := range s.parts {
		if line == 0 {
			break
		}
		c, err := s.set.Waiting(ctx, p, below...)
		if err != nil {
			return nil, err
		}
		if c.Loaded.NextMS < line {
			return nil, errLineFell
		}
		for i, n := range c.Counts {
			all[i].N += n
		}
	}
	from, _ := slices.BinarySearch(times, line+1)
	if from == len(times) {
		return all, nil
	}
	rows, err := s.store.CountBefore(ctx, line, times[from:], exactForecast)
	if err != nil {
		return nil, err
	}
	for i, c := range rows {
		all[from+i].N += c.N
		all[from+i].Exact = c.Exact
	}
	return all, nil
}
