package triggerhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/triggerhook/triggerhook/internal/agent"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// WorkerInfo is what a worker tells of itself: a Scheduler that runs (Run, Handle).
type WorkerInfo struct {
	ID      string    // no other worker has, or ever had, the same: one that starts again has another
	Name    string    // Options.Worker
	Started time.Time // when its Run or Handle began, by its own clock
	Seen    time.Time // when it told of itself last, by the hot set's clock
	// Roles are the background roles that it has: "feeder", "reaper" and "auditor". One worker at a time has each. The feeder fills the
	// hot set.
	Roles []string
	// Stats are its counters, and what it holds, as of Seen: Queued, InHand, Stuck, Confirming. A rate is the difference between two
	// counters of one ID, divided by that of their Seen.
	Stats ProcessStats
}

// Workers returns the workers of the namespace that are alive. Processes that do not run, for example those that only create, are not among
// them. Workers tell of themselves only while a process asks, so that no process pays otherwise: the first call takes about 3 s, until each
// worker has heard of it. Calls that follow within 15 s take no longer than Redis does, and are told what is at most 3 s old. A worker that
// was killed is left out 6 s after it told last, one that ended in good order at once. There are at most 1000 of them.
//
// With an error of a single worker, which names it, Workers returns all others too, and that one without Name, Started and Stats.
func (s *Scheduler) Workers(ctx context.Context) ([]WorkerInfo, error) {
	roster, err := s.roster(ctx)
	if err != nil {
		return nil, fmt.Errorf("workers: %w", err)
	}
	var all []WorkerInfo
	for _, w := range roster.Workers {
		if roster.AsOf-w.ToldMS > agent.AliveFor.Milliseconds() {
			continue
		}
		it, e := workerInfo(w)
		all, err = append(all, it), errors.Join(err, e)
	}
	return all, err
}

// roster reads what workers told. If no process has asked before, or none for long enough, it waits until all of them have told.
func (s *Scheduler) roster(ctx context.Context) (task.Roster, error) {
	for {
		r, err := s.set.Workers(ctx, task.Feeder, task.Reaper, task.Auditor)
		left := agent.ToldWithin - time.Duration(r.AsOf-r.Since)*time.Millisecond
		if err != nil || left <= 0 {
			return r, err
		}
		if wait.For(ctx, min(left, agent.ToldWithin)); ctx.Err() != nil {
			return r, ctx.Err()
		}
	}
}

func workerInfo(w task.Worker) (WorkerInfo, error) {
	it := WorkerInfo{ID: w.Name, Seen: instant(w.ToldMS)}
	for _, role := range w.Roles {
		it.Roles = append(it.Roles, string(role))
	}
	var r workerReport
	if err := json.Unmarshal(w.Report, &r); err != nil {
		return it, fmt.Errorf("workers: worker %q tells what cannot be read: %w", w.Name, err)
	}
	it.Name, it.Started, it.Stats = r.Name, instant(r.StartedMS), r.Stats
	return it, nil
}

// workerReport is what a worker tells. Workers of other versions read it: a field may be added, and none changes its meaning.
type workerReport struct {
	Name      string
	StartedMS int64
	Stats     ProcessStats
}

// ownReport is what this worker tells of itself, as workerInfo reads it.
func (s *Scheduler) ownReport() []byte {
	text, err := json.Marshal(workerReport{s.o.Worker, s.began.Load(), s.processStats()})
	if err != nil {
		s.report.Error("heartbeat", err, "this worker is told of without its figures")
		return []byte("{}")
	}
	return text
}

// defaultWorker is Options.Worker where none is given.
func defaultWorker() string {
	pid := ":" + strconv.Itoa(os.Getpid())
	host, _ := os.Hostname() // without a name it is the process ID alone
	return task.CutText(host, task.MaxWorker-len(pid)) + pid
}

func checkWorker(name string) error {
	if len(name) > task.MaxWorker || !utf8.ValidString(name) {
		return fmt.Errorf("%w: Options.Worker %.64q has %d bytes, allowed are %d of valid UTF-8", ErrInvalid, name, len(name), task.MaxWorker)
	}
	return nil
}
