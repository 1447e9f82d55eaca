package triggerhooktest

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hook"
)

// spy remembers what has happened to tasks, from their hooks.
type spy struct {
	mu   sync.Mutex
	seen map[sight]bool
	all  []string // for people, the last ones
}

// sight is an event of a task.
type sight struct {
	id string
	e  Event
}

// mostTold is how many events a message names.
const mostTold = 20

func newSpy() *spy { return &spy{seen: map[sight]bool{}} }

// watch puts the spy before the hooks that h has.
func (s *spy) watch(h *hook.Hooks, now func() time.Time) {
	before := *h
	h.Delivered = func(e hook.Delivered) {
		s.note(Delivered, e.Task, now(), nil)
		call(before.Delivered, e)
	}
	h.Failed = func(e hook.Failed) {
		s.note(Failed, e.Task, now(), e.Err)
		call(before.Failed, e)
	}
	h.Confirmed = func(e hook.Confirmed) {
		for _, t := range e.Tasks {
			s.note(Confirmed, t, now(), nil)
		}
		call(before.Confirmed, e)
	}
}

func call[E any](f func(E), e E) {
	if f != nil {
		f(e)
	}
}

func (s *spy) note(e Event, t hook.Task, now time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[sight{t.ID, e}] = true
	text := fmt.Sprintf("%q %s at %s, attempt %d", t.ID, e, stamp(now), t.Attempt)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		text += ": " + first
	}
	if s.all = append(s.all, text); len(s.all) > mostTold {
		s.all = s.all[1:]
	}
}

func (s *spy) saw(id string, e Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[sight{id, e}]
}

// last is the last event.
func (s *spy) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return "none"
	}
	return s.all[len(s.all)-1]
}

// told is what has happened, a line each.
func (s *spy) told() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return "Nothing was delivered."
	}
	return "Delivered so far:\n\t" + strings.Join(s.all, "\n\t")
}

func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05.000") }
