package hotset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Elect implements Set.
func (r *Redis) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	args := []any{holder, term.Milliseconds()}
	for _, role := range roles {
		args = append(args, string(role))
	}
	a, err := r.runAlone(ctx, "elect", []string{r.keys[0].agent()}, args)
	if err != nil {
		return nil, err
	}
	terms := make([]task.Term, len(roles))
	for i := range terms {
		terms[i] = task.Term{Held: a.int() == 1, Epoch: a.int(), Left: time.Duration(a.int()) * time.Millisecond, New: a.int() == 1, Watched: a.int() == 1}
	}
	return terms, a.err
}

// Heartbeat implements Set.
func (r *Redis) Heartbeat(ctx context.Context, worker string, report []byte) error {
	_, err := r.runAlone(ctx, "heartbeat", r.keys[0].workers(), []any{worker, report})
	return err
}

// Workers implements Set.
func (r *Redis) Workers(ctx context.Context, roles ...task.Role) (task.Roster, error) {
	args := []any{Watched.Milliseconds(), KeepWorkers.Milliseconds(), MostWorkers}
	for _, role := range roles {
		args = append(args, string(role))
	}
	a, err := r.runAlone(ctx, "workers", r.keys[0].workers(), args)
	if err != nil {
		return task.Roster{}, err
	}
	out := task.Roster{AsOf: a.asOf.TimeUS / 1000, Since: a.int()}
	told, holders := a.strs(), a.strs()
	if a.err == nil && (len(told)%2 != 0 || len(holders) != len(roles)) {
		a.fail("has lists of a wrong length")
	}
	if a.err != nil {
		return out, a.err
	}
	for i := 0; i < len(told); i += 2 {
		at, report, ok := strings.Cut(told[i+1], ":")
		ms, err := strconv.ParseInt(at, 10, 64)
		if err != nil || !ok {
			return out, fmt.Errorf("answer of workers has a strange report of %q", told[i])
		}
		w := task.Worker{Name: told[i], ToldMS: ms, Report: []byte(report)}
		for j, role := range roles {
			if holders[j] == w.Name {
				w.Roles = append(w.Roles, role)
			}
		}
		out.Workers = append(out.Workers, w)
	}
	slices.SortFunc(out.Workers, task.Worker.Compare)
	return out, nil
}

// runAlone runs a script that has no prelude, on partition 0, with the identity as its first argument. The reply is at what follows status, time and generation.
func (r *Redis) runAlone(ctx context.Context, verb string, keys []string, args []any) (*reply, error) {
	r.mu.Lock()
	identity := r.expected.identity
	r.mu.Unlock()
	v, err := await(ctx, r.gate, !crowd[verb], func() ([]any, error) {
		return r.scripts[verb].Run(ctx, r.rdb, keys, append([]any{identity}, args...)...).Slice()
	})
	if err != nil {
		return &reply{}, r.typed(verb, 0, err)
	}
	a := &reply{verb: verb, rest: v}
	status := a.str()
	a.asOf.TimeUS = a.int()
	a.int() // no generation
	if status == "MISMATCH" {
		return a, fmt.Errorf("%s: %w", verb, errors.Join(mismatch(r.config.Namespace, a.str(), identity), a.err))
	}
	return a, a.err
}
