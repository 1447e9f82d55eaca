package durable_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/durabletest"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

const (
	toFresh     = "SET SESSION group_replication_consistency = 'BEFORE', wait_timeout = 10"
	toCertified = "SET SESSION group_replication_consistency = 'EVENTUAL', wait_timeout = 28800"
)

// member is a tapped store on a server that could be in a group, and takes itself for the whole of it.
func member(t *testing.T, args ...string) (*durable.MySQL, *wire) {
	t.Helper()
	s, w := wiredOn(t, testserver.Own(t, testserver.MySQL, append([]string{"--plugin-load-add=group_replication.so", "--loose-group-replication-start-on-boot=OFF",
		"--loose-group-replication-group-name=5f3b9c1e-7a42-4d0b-9a6e-2c1d8e4f7b30"}, args...)...))
	w.db.SetMaxOpenConns(1)
	return s, w
}

// ahead returns n rows that are due in an hour.
func ahead(prefix string, n int) []task.Row {
	rows := farRows(prefix, n)
	for i := range rows {
		rows[i].NextMS = time.Now().Add(time.Hour).UnixMilli()
	}
	return rows
}

// turns are the statements that put a connection in another mode, among those that were sent.
func turns(sent []call) (all []string) {
	for _, c := range sent {
		if strings.HasPrefix(c.stmt, "SET SESSION group_replication_consistency") {
			all = append(all, c.stmt)
		}
	}
	return all
}

// What reads waits for what the group has ordered, what writes does not, and a connection is
// turned only where the one follows the other.
func TestReadsAreFreshAndWritesCertified(t *testing.T) {
	t.Run("mysql97", func(t *testing.T) {
		t.Parallel()
		s, w := member(t, "--loose-group-replication-consistency=EVENTUAL")
		rows := ahead("far", 200)
		refs := refsOf(rows)
		for i, step := range []struct {
			what string
			call func() error
			want []string
		}{
			{"Create", func() error { return s.Create(t.Context(), rows) }, []string{toCertified}},
			{"Create", func() error { return s.Create(t.Context(), ahead("more", 1)) }, nil},
			{"Delete of one", func() error { return all(s.Delete(t.Context(), refs[:1])) }, nil},
			{"Delete of few", func() error { return all(s.Delete(t.Context(), refs[1:9])) }, nil},
			{"Delete of many", func() error { return all(s.Delete(t.Context(), refs[9:100])) }, nil},
			{"Move", func() error {
				_, err := s.Move(t.Context(), refs[100], task.Row{Ref: task.Ref{ID: refs[100].ID, Ver: 1}, NextMS: task.MaxDue})
				return err
			}, nil},
			{"Versions", func() error { _, err := s.Versions(t.Context(), ids(refs[:1])); return err }, []string{toFresh}},
			{"Get", func() error { _, err := s.Get(t.Context(), ids(refs[:1])); return err }, nil},
			{"Scan", func() error { _, err := s.Scan(t.Context(), task.Cursor{}, task.MaxDue, 10, 0); return err }, nil},
			{"Count", func() error { _, _, err := s.Count(t.Context(), 10); return err }, nil},
			{"Records", func() error { _, err := s.Records(t.Context()); return err }, nil},
			{"SwapRecord", func() error { _, err := s.SwapRecord(t.Context(), "a", "", "b"); return err }, nil},
			{"Advance", func() error { return s.Advance(t.Context(), time.Now().UnixMilli()) }, nil},
			{"Check", func() error { return s.Check(t.Context(), 1) }, nil},
			{"Delete of one", func() error { return all(s.Delete(t.Context(), refs[101:102])) }, []string{toCertified}},
			{"Create of an id that exists", func() error {
				if err := s.Create(t.Context(), []task.Row{{Ref: task.Ref{ID: refs[150].ID, Ver: 5}, NextMS: task.MaxDue}}); err == nil {
					return fmt.Errorf("no error")
				}
				return nil
			}, []string{toFresh}},
			{"Create of an overdue task", func() error { return s.Create(t.Context(), []task.Row{{Ref: task.Ref{ID: "old", Ver: 5}}}) }, []string{toCertified, toFresh}},
		} {
			w.take()
			err := step.call()
			if sent := w.take(); err != nil || !slices.Equal(turns(sent), step.want) {
				t.Errorf("%d: %s turns its connection by %q, %v; want %q; it sent %v", i, step.what, turns(sent), err, step.want, sent)
			}
		}
	})
}

// all is an error if not all rows were deleted.
func all(deleted []bool, err error) error {
	if err == nil && slices.Contains(deleted, false) {
		err = fmt.Errorf("not all are deleted: %v", deleted)
	}
	return err
}

// A call that writes on a member that has not applied its rows yet looks again, once the
// member has. The rows come about just when the call turns its connection to fresh.
func TestWhatAWriteDoesNotMeetIsLookedForAgain(t *testing.T) {
	t.Run("mysql97", func(t *testing.T) {
		t.Parallel()
		s, w := member(t, "--loose-group-replication-consistency=EVENTUAL")
		other := open(t, w.open(t))
		type sent = call
		for name, call := range map[string]struct {
			rows int
			do   func(refs []task.Ref) error
		}{
			"Delete of one":  {1, func(refs []task.Ref) error { return all(s.Delete(t.Context(), refs)) }},
			"Delete of few":  {10, func(refs []task.Ref) error { return all(s.Delete(t.Context(), refs)) }},
			"Delete of many": {100, func(refs []task.Ref) error { return all(s.Delete(t.Context(), refs)) }},
			"Move": {1, func(refs []task.Ref) error {
				moved, err := s.Move(t.Context(), refs[0], task.Row{Ref: task.Ref{ID: refs[0].ID, Ver: 1}, NextMS: task.MaxDue})
				if err == nil && !moved {
					err = fmt.Errorf("not moved")
				}
				return err
			}},
			"Create": {1, func(refs []task.Ref) error { // of a row that an earlier try has made
				return s.Create(t.Context(), []task.Row{{Ref: refs[0], NextMS: line + 1}})
			}},
		} {
			rows := ahead(name, call.rows)
			arrived := false
			w.mu.Lock()
			w.hold = func(c sent) error {
				if !strings.HasPrefix(c.stmt, toFresh) || arrived {
					return nil
				}
				arrived = true
				return other.Create(t.Context(), rows)
			}
			w.mu.Unlock()
			if err := call.do(refsOf(rows)); err != nil {
				t.Errorf("%s of rows that arrive late: %v", name, err)
			}
		}
	})
}

// A deletion of many far rows whose commit had no answer asks in fresh which of them exist.
func TestALostDeletionByIDAsksInFresh(t *testing.T) {
	t.Run("mysql97", func(t *testing.T) {
		t.Parallel()
		s, w := member(t, "--loose-group-replication-consistency=EVENTUAL")
		learnFar(t, s)
		rows := farRows("lost", 60)
		mustCreate(t, s, rows)
		w.take()
		w.loseOnce("COMMIT", false)
		got, err := s.DeleteByID(t.Context(), idsOf(rows), line)
		if err != nil || !durabletest.SameDeleted(got, unread(rows)) {
			t.Fatalf("DeleteByID answered %v, %v", got, err)
		}
		mode := ""
		for _, c := range w.take() {
			if strings.HasPrefix(c.stmt, "SET SESSION") {
				mode = c.stmt
			}
			if strings.HasPrefix(c.stmt, "SELECT id, ver") && mode != toFresh {
				t.Errorf("it asks under %q", mode)
			}
		}
		if mode != toFresh {
			t.Errorf("its last mode is %q; want that it asked in fresh", mode)
		}
	})
}

// What a group is configured with stays as it is for writes, and a session that waits anyhow is not
// turned.
func TestAGroupsConsistencyIsKept(t *testing.T) {
	t.Run("mysql97", func(t *testing.T) {
		t.Parallel()
		_, w := member(t)
		for level, reads := range map[string]string{"BEFORE": "BEFORE", "BEFORE_AND_AFTER": "BEFORE_AND_AFTER", "AFTER": "BEFORE_AND_AFTER",
			"BEFORE_ON_PRIMARY_FAILOVER": "BEFORE", "EVENTUAL": "BEFORE"} {
			exec(t, w.open(t), "SET GLOBAL group_replication_consistency = '"+level+"'")
			db := w.open(t)
			db.SetMaxOpenConns(1)
			s := open(t, db)
			is := func() (v string) {
				if err := db.QueryRow("SELECT @@session.group_replication_consistency").Scan(&v); err != nil {
					t.Error(err)
				}
				return v
			}
			if err := s.Create(t.Context(), ahead(level, 1)); err != nil {
				t.Fatal(err)
			}
			write := is()
			if _, _, err := s.Count(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if read := is(); write != level || read != reads {
				t.Errorf("in a group of %s it writes under %s and reads under %s; want %s and %s", level, write, read, level, reads)
			}
		}
	})
}
