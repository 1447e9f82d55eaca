package durable_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/durabletest"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// A group of servers (Group Replication) with the weakest consistency. One starts it all; a
// part of the test each follows from the one before.
func TestAGroup(t *testing.T) {
	t.Run("mysql97", func(t *testing.T) {
		t.Parallel()
		g := testserver.OwnGroup(t, "--loose-group-replication-consistency=EVENTUAL", "--loose-group-replication-member-expel-timeout=0",
			"--replica-parallel-workers=1", "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2")
		t.Run("Store", func(t *testing.T) {
			durabletest.Run(t, func(t *testing.T) durable.Store { return open(t, g.Members[0].DB(t, "")) })
		})
		exec(t, g.DB(0), "CREATE DATABASE th", "CREATE TABLE th.holdup (n INT PRIMARY KEY)")
		k := &groupKit{t: t, Group: g, stores: make([]*durable.MySQL, len(g.Members))}
		for i, s := range g.Members {
			db, err := sql.Open("mysql", s.DSN("th")+"?interpolateParams=true")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			k.stores[i] = open(t, db)
		}
		if err := k.stores[0].Migrate(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		exec(t, g.DB(1), "SET GLOBAL group_replication_member_weight = 90")
		k.behind()
		k.deposed()
	})
}

type groupKit struct {
	t *testing.T
	*testserver.Group
	stores []*durable.MySQL
}

// until waits for what is to come about.
func (k *groupKit) until(what string, is func() bool) {
	k.t.Helper()
	for end := time.Now().Add(3 * time.Minute); !is(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			k.t.Fatalf("not in 3 minutes: %s", what)
		}
	}
}

// elect waits until member i is what a majority calls its primary, and takes writes.
func (k *groupKit) elect(i int) {
	k.t.Helper()
	k.until(fmt.Sprintf("member %d is the primary", i+1), func() bool {
		var refuses bool
		p, err := k.Primary(k.t.Context())
		return err == nil && p == i && k.DB(i).QueryRow("SELECT @@super_read_only").Scan(&refuses) == nil && !refuses
	})
}

// answer is what a call says of a row that stands.
type answer func(context.Context) (there bool, err error)

// reads are calls that conclude something from a row that is not there.
func reads(s *durable.MySQL, ref task.Ref) map[string]answer {
	has := func(refs []task.Ref, err error) (bool, error) { return slices.Contains(refs, ref), err }
	return map[string]answer{
		"Versions": func(ctx context.Context) (bool, error) { return has(s.Versions(ctx, []string{ref.ID})) },
		"Get": func(ctx context.Context) (bool, error) {
			rows, err := s.Get(ctx, []string{ref.ID})
			return has(refsOf(rows), err)
		},
		"Scan": func(ctx context.Context) (bool, error) {
			rows, err := s.Scan(ctx, task.Cursor{}, task.MaxDue, 1000, 0)
			return has(refsOf(rows), err)
		},
		"Count": func(ctx context.Context) (bool, error) {
			n, _, err := s.Count(ctx, 1000)
			return n > 0, err
		},
		"Records": func(ctx context.Context) (bool, error) {
			r, err := s.Records(ctx)
			return r.Values["mark"] == ref.ID, err
		},
	}
}

// writes are the same that write, each of rows of its own.
func writes(s *durable.MySQL, refs []task.Ref) map[string]answer {
	all := map[string]answer{
		"Move": func(ctx context.Context) (bool, error) {
			return s.Move(ctx, refs[1], task.Row{Ref: task.Ref{ID: refs[1].ID, Ver: 2}, NextMS: 9})
		},
		"DeleteByID": func(ctx context.Context) (bool, error) {
			rows, err := s.DeleteByID(ctx, []string{refs[2].ID}, 0)
			return len(rows) == 1, err
		},
	}
	for name, some := range map[string][]task.Ref{"Delete of one": refs[3:4], "Delete of few": refs[4:14], "Delete of many": refs[14:114]} {
		all[name] = func(ctx context.Context) (bool, error) {
			deleted, err := s.Delete(ctx, some)
			return !slices.Contains(deleted, false), err
		}
	}
	return all
}

// fill makes rows through member i, and a record of the first.
func (k *groupKit) fill(i int, prefix string) []task.Ref {
	k.t.Helper()
	rows := farRows(prefix, 120)
	mustCreate(k.t, k.stores[i], rows)
	r, err := k.stores[i].Records(k.t.Context())
	if err != nil {
		k.t.Fatal(err)
	}
	if ok, err := k.stores[i].SwapRecord(k.t.Context(), "mark", r.Values["mark"], rows[0].ID); !ok || err != nil {
		k.t.Fatalf("record: %v, %v", ok, err)
	}
	return refsOf(rows)
}

// A member that has not applied what the group has committed answers no read before it has.
func (k *groupKit) behind() {
	t := k.t
	holder, err := k.DB(1).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	k.until("member 2 has the table", func() bool {
		_, err := holder.ExecContext(t.Context(), "LOCK TABLES th.holdup READ")
		return err == nil
	})
	exec(t, k.DB(0), "INSERT INTO th.holdup VALUES (1)") // which member 2 cannot apply, nor what comes after
	refs := k.fill(0, "behind")
	var all sync.WaitGroup
	calls := reads(k.stores[1], refs[0])
	for name, call := range calls {
		all.Go(func() {
			if there, err := call(t.Context()); err != nil || !there {
				t.Errorf("%s on a member that lags: the row is there: %t, %v; want that it waits and is", name, there, err)
			}
		})
	}
	k.until("all calls wait", func() bool {
		var n int
		err := k.DB(1).QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Executing hook on transaction begin%'").Scan(&n)
		return t.Failed() || err == nil && n >= len(calls)
	})
	if _, err := holder.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
		t.Error(err)
	}
	all.Wait()
}

// A primary that was paused goes on, and does not know that the group has another one: for as
// long as it answers it says of no row that it is gone.
func (k *groupKit) deposed() {
	t := k.t
	k.Members[0].Pause()
	k.elect(1)
	refs := k.fill(1, "deposed")
	k.Members[0].Continue()
	calls := reads(k.stores[0], refs[0])
	maps.Copy(calls, writes(k.stores[0], refs))
	var all sync.WaitGroup
	for name, call := range calls {
		all.Go(func() {
			if there, err := call(t.Context()); err == nil {
				t.Errorf("%s on a primary that was deposed: the row is there: %t; want an error", name, there)
			}
		})
	}
	all.Wait()
	if err := k.Rejoin(t.Context()); err != nil {
		t.Error(err)
	}
	left, err := k.stores[1].Versions(t.Context(), ids(refs))
	if err != nil || len(left) != len(refs) {
		t.Errorf("%d rows stand, %v; want %d: the deposed primary deleted none", len(left), err, len(refs))
	}
	for name, call := range writes(k.stores[1], refs) {
		if there, err := call(t.Context()); err != nil || !there {
			t.Errorf("%s on the new primary: the row is there: %t, %v", name, there, err)
		}
	}
}
