package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// slowLink has each statement take that long, as over a slow link, and each call many statements.
func slowLink(t *testing.T, d time.Duration) (*durable.MySQL, *wire) {
	t.Helper()
	s, w := wired(t, testserver.MySQL)
	s.SetPacket(20_000)
	w.slow(d)
	return s, w
}

// slow has each statement begin that much later.
func (w *wire) slow(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold = func(call) error { <-time.After(d); return nil }
}

// A call of many statements may take longer than one of them may: the time of a statement
// is its own, in each verb.
func TestEachStatementHasATimeOfItsOwn(t *testing.T) {
	const each, timeout = 160 * time.Millisecond, 4 * time.Second
	for name, c := range map[string]struct {
		rows int // as many as take so many statements that they take longer than timeout
		call func(*durable.MySQL, []task.Row) error
	}{
		"Create": {1900, func(s *durable.MySQL, rows []task.Row) error { return s.Create(t.Context(), differently(rows)) }},
		"Get":    {4300, func(s *durable.MySQL, rows []task.Row) error { _, err := s.Get(t.Context(), idsOf(rows)); return err }},
		"Versions": {4300, func(s *durable.MySQL, rows []task.Row) error {
			_, err := s.Versions(t.Context(), idsOf(rows))
			return err
		}},
		"Delete": {1700, func(s *durable.MySQL, rows []task.Row) error {
			_, err := s.Delete(t.Context(), refsOf(rows))
			return err
		}},
		"DeleteByID": {1200, func(s *durable.MySQL, rows []task.Row) error {
			_, err := s.DeleteByID(t.Context(), idsOf(rows), task.MaxDue)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, w := slowLink(t, 0)
			rows, _ := numbered(c.rows)
			mustCreate(t, s, rows)
			w.take()
			w.slow(each)
			s.SetTimeout(timeout)
			if err := c.call(s, rows); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if n := len(w.take()); time.Duration(n)*each <= timeout {
				t.Errorf("%s sent %d statements, which a single timeout may have covered", name, n)
			}
		})
	}
}

// differently are rows of other tasks.
func differently(rows []task.Row) []task.Row {
	all := slices.Clone(rows)
	for i := range all {
		all[i].ID += "'"
	}
	return all
}

// holdInserts makes the inserts of more arguments than that wait until they are told how they end.
// Each of them tells waits of it, for which there is room for most.
func holdInserts(w *wire, args, most int) (waits <-chan struct{}, end func(error)) {
	held, arrived := make(chan struct{}), make(chan struct{}, most)
	var with error
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hold = func(c call) error {
		if !strings.HasPrefix(c.stmt, "INSERT INTO `t_task`") || len(c.args) < args {
			return nil
		}
		arrived <- struct{}{}
		<-held
		return with
	}
	return arrived, func(err error) { with = err; close(held) }
}

// Calls of many statements hang, and fail: small ones that come meanwhile, more than may be
// under way together, do neither.
func TestLargeCallsAreAloneInTheirFault(t *testing.T) {
	s, w := wired(t, testserver.MySQL)
	large := make([][]task.Row, 6)
	for i := range large {
		large[i], _ = numbered(1500)
		for j := range large[i] {
			large[i][j].ID = fmt.Sprintf("large-%d-%d", i, j)
		}
	}
	s.SetTimeout(time.Minute)
	waits, end := holdInserts(w, 7*900, len(large))
	failed := make(chan error, len(large))
	for _, rows := range large {
		go func() { failed <- s.Create(t.Context(), rows) }()
	}
	for range durable.Flights {
		<-waits
	}
	small, _ := numbered(50)
	var all sync.WaitGroup
	for i := range small {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // less than a statement has
			defer cancel()
			if err := s.Create(ctx, small[i:i+1]); err != nil {
				t.Errorf("Create of one row beside large calls that hang: %v", err)
			}
		})
	}
	all.Wait()
	end(errors.New("it failed"))
	for range large {
		if err := <-failed; err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Create of many rows answered %v, want its own failure", err)
		}
	}
	if n, _, err := s.Count(t.Context(), 1000); n != 50 || err != nil {
		t.Errorf("%d rows stand, %v; want the small calls' 50", n, err)
	}
}

// A DeleteByID of many reads no versions beyond those that it deletes next: one that ends in the
// middle has not read in vain.
func TestADeletionByIDOfManyReadsNoFurtherThanItDeletes(t *testing.T) {
	s, w := slowLink(t, 0)
	rows, refs := numbered(1000)
	mustCreate(t, s, rows)
	w.take()
	if got, err := s.DeleteByID(t.Context(), ids(refs), task.MaxDue); err != nil || len(got) != len(rows) {
		t.Fatalf("DeleteByID of %d answered %d, %v", len(rows), len(got), err)
	}
	last := ""
	for _, c := range w.take() {
		if verb, _, _ := strings.Cut(c.stmt, " "); verb == "SELECT" || verb == "DELETE" {
			if verb == last {
				t.Errorf("two statements in a row begin with %s, want each part read and then deleted", verb)
			}
			last = verb
		}
	}
}

// The context of its caller ends a large call, and none of its rows is there.
func TestACallersContextEndsALargeCreate(t *testing.T) {
	s, w := slowLink(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	inserts := 0
	w.mu.Lock()
	w.lose = func(c call) (bool, bool) {
		if strings.HasPrefix(c.stmt, "INSERT INTO `t_task`") {
			if inserts++; inserts == 10 {
				cancel()
			}
		}
		return false, false
	}
	w.mu.Unlock()
	rows, _ := numbered(4000)
	if err := s.Create(ctx, rows); !errors.Is(err, context.Canceled) {
		t.Errorf("Create whose context ended in the middle answered %v", err)
	}
	none(t, s)
}

// A deletion of many that fails in the middle has deleted what came before, and its error
// names that. What is repeated deletes the rest, and not one row a second time.
func TestAFailedDeletionOfManyIsProgress(t *testing.T) {
	refused := fmt.Errorf("refused")
	for name, drop := range map[string]func(s *durable.MySQL, refs []task.Ref) (int, error){
		"Delete": func(s *durable.MySQL, refs []task.Ref) (n int, err error) {
			deleted, err := s.Delete(t.Context(), refs)
			for _, d := range deleted {
				if d {
					n++
				}
			}
			return n, err
		},
		"DeleteByID": func(s *durable.MySQL, refs []task.Ref) (int, error) {
			rows, err := s.DeleteByID(t.Context(), ids(refs), task.MaxDue)
			return len(rows), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, w := slowLink(t, 0)
			rows, refs := numbered(1000)
			mustCreate(t, s, rows)
			deletions := 0
			w.mu.Lock()
			w.fail = func(c call) error {
				if strings.HasPrefix(c.stmt, "DELETE") {
					if deletions++; deletions == 4 {
						return refused
					}
				}
				return nil
			}
			w.mu.Unlock()
			_, err := drop(s, refs)
			done := task.Unsure(err)
			if !errors.Is(err, refused) || len(done) == 0 || !slices.Equal(done, refs[:len(done)]) {
				t.Fatalf("a deletion whose fourth statement failed: %v, it names %d rows", err, len(done))
			}
			left, _, err := s.Count(t.Context(), 2000)
			if err != nil || int(left) != len(refs)-len(done) {
				t.Errorf("%d rows stand after a deletion of %d that has deleted %d, %v", left, len(refs), len(done), err)
			}
			w.take()
			n, err := drop(s, refs)
			if err != nil || n != int(left) {
				t.Errorf("repeated it has deleted %d, %v; want the %d that were left", n, err, left)
			}
			none(t, s)
		})
	}
}
