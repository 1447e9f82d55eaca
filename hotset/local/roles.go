package local

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/task"
)

// term is who holds a role, and until when.
type term struct {
	holder string
	ends   time.Time
	epoch  int64
}

// told is what a worker tells of itself, and when it came.
type told struct {
	at     time.Time
	report []byte
}

// Elect implements hotset.Set: within one process, too, one holder at a time.
func (s *Set) Elect(ctx context.Context, holder string, length time.Duration, roles ...task.Role) ([]task.Term, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	all := make([]task.Term, len(roles))
	var kept []task.Role
	for i, role := range roles {
		t := s.terms[role]
		mine := t.holder == holder && t.ends.After(now)
		switch {
		case length == 0:
			if mine {
				t.ends = now
			}
		case mine || !t.ends.After(now):
			if all[i].New = !mine; !mine {
				t.epoch = max(t.epoch+1, now.UnixMicro())
			}
			t.holder, t.ends, all[i].Held = holder, now.Add(length), true
			kept = append(kept, role)
		}
		s.terms[role] = t
		all[i].Epoch, all[i].Left, all[i].Watched = t.epoch, max(0, t.ends.Sub(now)), s.watched.After(now)
	}
	if len(kept) > 0 && !s.watched.After(now) {
		s.tellKept(kept, length)
	}
	return all, nil
}

// tellKept tells all watchers that a process has these roles for that long. Under mu.
func (s *Set) tellKept(roles []task.Role, term time.Duration) {
	for w := range s.watchers {
		if w.Kept != nil {
			w.Kept(roles, term)
		}
	}
}

// Heartbeat implements hotset.Set.
func (s *Set) Heartbeat(ctx context.Context, worker string, report []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.workers[worker] = (told{s.now(), slices.Clone(report)}); len(report) == 0 {
		delete(s.workers, worker)
	}
	return nil
}

// Workers implements hotset.Set.
func (s *Set) Workers(ctx context.Context, roles ...task.Role) (task.Roster, error) {
	if err := ctx.Err(); err != nil {
		return task.Roster{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if !s.watched.After(now) {
		s.asked = now
	}
	s.watched = now.Add(hotset.Watched)
	maps.DeleteFunc(s.workers, func(_ string, t told) bool { return now.Sub(t.at) > hotset.KeepWorkers })
	out := task.Roster{AsOf: now.UnixMilli(), Since: s.asked.UnixMilli()}
	for name, t := range s.workers {
		w := task.Worker{Name: name, ToldMS: t.at.UnixMilli(), Report: slices.Clone(t.report)}
		for _, role := range roles {
			if is := s.terms[role]; is.holder == name && is.ends.After(now) {
				w.Roles = append(w.Roles, role)
			}
		}
		out.Workers = append(out.Workers, w)
	}
	slices.SortFunc(out.Workers, task.Worker.Compare)
	out.Workers = out.Workers[:min(len(out.Workers), hotset.MostWorkers)]
	return out, nil
}
