package record

import (
	"context"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// SwapPause records what change makes of the recorded pause, with the next Seq, and reads the records after that. If change leaves the
// pause as it is, SwapPause writes nothing. It returns what is recorded.
//
// Protocol (docs/model/pause.pml). The read that follows the record says which generations are current. The caller
// tells those of the pause (hotset.Set.Pause). A generation that becomes current later begins with it,
// because its feeder reads the records before it begins a generation.
func (r *Reader) SwapPause(ctx context.Context, change func(task.Pause) task.Pause) (task.Pause, error) {
	for {
		if err := r.Refresh(ctx); err != nil {
			return task.Pause{}, err
		}
		k, _, _ := r.Last()
		to := change(k.Pause)
		if to == k.Pause {
			return to, nil
		}
		to.Seq = k.Pause.Seq + 1
		failpoint.Hit("pause/record")

		// The commit point. A crash before it leaves what was recorded. A crash after it leaves partitions that have not heard of
		// the pause: processes that read the record go by it, and the feeder's next round tells the partitions.
		swapped, err := SwapValue(ctx, r.store, task.RecordPause, k.Pause, to)
		if err != nil {
			return task.Pause{}, err
		}
		if swapped {
			return to, r.Refresh(ctx)
		}
	}
}

// Recent returns the records, read within MaxAge if the durable store answers within RefreshIfOldTimeout.
func (r *Reader) Recent(ctx context.Context) Known {
	k, age, ok := r.Last()
	if ok && age <= MaxAge {
		return k
	}
	if r.isAway() {
		r.RefreshIfOld(ctx)
	} else {
		short, cancel := context.WithTimeout(ctx, RefreshIfOldTimeout)
		defer cancel()
		if err := r.Refresh(short); err != nil {
			r.NoteLate()
			r.report.Error("read the records", err, "a pause of producers may not be known")
		}
	}
	k, _, _ = r.Last()
	return k
}

func (r *Reader) isAway() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away
}

// Pause returns the pause that was read last.
func (r *Reader) Pause() task.Pause {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known.Pause
}

// PauseNoted has an element once another pause was read than before.
func (r *Reader) PauseNoted() <-chan struct{} { return r.pauseNoted }

// logPause logs a pause that this process reads for the first time, and its end. It goes by this process's clock. readOnce alone calls it.
func (r *Reader) logPause(p task.Pause, now time.Time) {
	before, _, read := r.Last()
	switch {
	case p.Seq == before.Pause.Seq:
		if r.pauseLogged && !p.At(now) {
			r.pauseLogged = false
			r.report.Info("the pause is over: tasks are delivered", "since", msText(p.SinceMS), "until", msText(p.UntilMS))
		}
		return
	case !p.At(now) && p.UntilMS > 0: // it was over before this process heard of it
	case p.UntilMS == task.MaxDue:
		r.report.Info("paused: no task is delivered until Resume", "since", msText(p.SinceMS), "producers", p.Producers)
	case p.UntilMS > 0:
		r.report.Info("paused: no task is delivered", "since", msText(p.SinceMS), "until", msText(p.UntilMS), "producers", p.Producers)
	case read:
		r.report.Info("resumed: tasks are delivered")
	}
	r.pauseLogged = p.At(now)
}

func msText(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano) }

// Paused returns an ErrPaused if p tells producers to wait, at a time of the hot set's clock.
func Paused(p task.Pause, now time.Time) error {
	if !p.Producers || !p.At(now) {
		return nil
	}
	until := "Resume"
	if p.UntilMS < task.MaxDue {
		until = msText(p.UntilMS)
	}
	return fmt.Errorf("%w since %s, until %s", task.ErrPaused, msText(p.SinceMS), until)
}
