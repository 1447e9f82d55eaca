package durable_test

import (
	"cmp"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// Rows of the plan tests: half are spread over a day, half are due in one
// millisecond, which is where paging is hard.
const (
	planRows = 120_000
	crowdMS  = 50_000_000
)

func fill(t *testing.T, s *durable.MySQL) []task.Ref {
	t.Helper()
	refs := make([]task.Ref, planRows)
	rows := make([]task.Row, planRows)
	for i := range rows {
		refs[i] = task.Ref{ID: fmt.Sprintf("%016x-%019d", uint64(i)*0x9e3779b97f4a7c15, i), Ver: rand.Int64()}
		rows[i] = task.Row{Ref: refs[i], NextMS: crowdMS, Payload: make([]byte, 100)}
		if i%2 == 0 {
			rows[i].NextMS = int64(i) * 720
		}
	}
	const lot = 1000
	each(t, planRows/lot, func(i int) error { return s.Create(t.Context(), rows[i*lot:(i+1)*lot]) })
	return refs
}

type step struct{ of, table, typ, key, extra string }

// ofTasks leaves out a list of ids or a count that the statement makes for itself, and the table that it inserts into.
func ofTasks(s step) bool {
	return s.of != "INSERT" && slices.Contains([]string{"t_task", "t", "t_dead", "d", "t_outbox", "o", "t_done"}, s.table)
}

// explain returns the steps of a statement's plan.
func explain(t *testing.T, db *sql.DB, stmt call) []step {
	t.Helper()
	rows, err := db.Query("EXPLAIN FORMAT=TRADITIONAL "+stmt.stmt, stmt.args...)
	if err != nil {
		t.Fatalf("EXPLAIN %.100s: %v", stmt.stmt, err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan []step
	for rows.Next() {
		vals := make([]sql.NullString, len(cols))
		into, named := make([]any, len(cols)), map[string]*sql.NullString{}
		for i, c := range cols {
			into[i], named[strings.ToLower(c)] = &vals[i], &vals[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, step{named["select_type"].String, named["table"].String, named["type"].String, named["key"].String, named["extra"].String})
	}
	return plan
}

// rowsRead returns how many rows a SELECT reads, as the server counts them.
func rowsRead(t *testing.T, db *sql.DB, stmt call) (n int) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	count := func(query string, args ...any) (sum int) {
		rows, err := conn.QueryContext(t.Context(), query, args...)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var name, value string
			if len(args) == 0 && rows.Scan(&name, &value) == nil && name != "Handler_read_rnd_next" { // SHOW itself reads those
				v, _ := strconv.Atoi(value)
				sum += v
			}
		}
		return sum
	}
	const status = "SHOW SESSION STATUS LIKE 'Handler_read%'"
	before := count(status)
	count(stmt.stmt, stmt.args...)
	return count(status) - before
}

// Every statement that the store sends goes by the index that its file names.
func TestPlansArePinned(t *testing.T) {
	eachKind(t, func(t *testing.T, kind testserver.Kind) {
		s, w := wired(t, kind)
		db := w.open(t)
		refs := fill(t, s)
		if _, err := db.Exec("ANALYZE TABLE t_task, t_dead, t_done"); err != nil {
			t.Fatal(err)
		}
		for _, c := range planned(t, s, refs) {
			t.Run(c.name, func(t *testing.T) {
				w.take()
				c.act()
				c.check(t, db, w.calls(c.stmt))
			})
		}
	})
}

type planCase struct {
	name string
	act  func()
	stmt string // how the statement in question begins
	key  string
	most int // rows that it may read, where it is a SELECT
}

func planned(t *testing.T, s *durable.MySQL, refs []task.Ref) []planCase {
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = refs[i*100].ID
	}
	row := func(r task.Ref) []task.Row { return []task.Row{{Ref: task.Ref{ID: r.ID, Ver: 1}}} }
	scan := func(after task.Cursor) func() {
		return func() { _, _ = s.Scan(t.Context(), after, 70_000_000, 1000, 1024) }
	}
	many := make([]task.Ref, 100)
	for i := range many {
		many[i] = task.Ref{ID: ids[i], Ver: 1}
	}
	far := func(from int) { _, _ = s.DeleteByID(t.Context(), ids[from:from+60], 20_000_000) }
	far(500) // it reads them, and takes the next ones for such too
	buried := make([]task.Burial, 3000)
	for i := range buried {
		buried[i] = task.Burial{Ref: refs[110_000+i], Reason: task.ReasonExpired, DeadMS: int64(i / 500)}
	}
	if _, err := s.Bury(t.Context(), buried); err != nil {
		t.Fatal(err)
	}
	next := 9
	dying := func() { // three of which one is dead by then
		var three []task.Burial
		for _, i := range []int{next, next + 2, next - 2} {
			three = append(three, task.Burial{Ref: refs[i], Reason: task.ReasonExpired})
		}
		_, _ = s.Bury(t.Context(), three)
		next += 4
	}
	dying()
	list := func(f task.DeadFilter, after task.DeadCursor) func() {
		return func() { _, _ = s.Dead(t.Context(), f, after, 100) }
	}
	letter := task.DeadCursor{DeadMS: buried[700].DeadMS, Ref: buried[700].Ref}
	letterBack := buried[0]
	requeue := func() { // and bury it again: the plan of a look for what is not there says nothing
		made := task.Row{Ref: task.Ref{ID: letterBack.ID, Ver: 5}, NextMS: crowdMS}
		_, _ = s.Requeue(t.Context(), letterBack.Ref, made)
		_, _ = s.Delete(t.Context(), []task.Ref{made.Ref})
		_ = s.Create(t.Context(), []task.Row{{Ref: letterBack.Ref, NextMS: crowdMS}})
		_, _ = s.Bury(t.Context(), []task.Burial{letterBack})
	}
	purge := func(before int64) func() { return func() { _, _ = s.PurgeDead(t.Context(), before) } }
	ended := endings(refs[100_000:103_000], task.EndConfirmed)
	for i := range ended {
		ended[i].EndedMS = int64(i/1000) * 100 * task.SlotMS
	}
	if _, err := s.End(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	past := func() { _, _ = s.History(t.Context(), ended[1500].ID, 10) }
	byID := func(r task.Range, after string) func() {
		r.BelowMS = cmp.Or(r.BelowMS, task.MaxDue+1)
		return func() { _, _ = s.ScanIDs(t.Context(), r, after, 1000, 1024) }
	}
	count := func(r task.Range, after task.Cursor) func() {
		return func() { _, _ = s.CountPage(t.Context(), r, after) }
	}
	old := func() { _, _ = s.Delete(t.Context(), []task.Ref{{ID: ids[0], Ver: 1}, {ID: ids[1], Ver: 1}}) }
	return []planCase{
		{"get", func() { _, _ = s.Get(t.Context(), ids) }, "SELECT next_ms", "id", 2100},
		{"versions", func() { _ = s.Create(t.Context(), row(refs[1])) }, "SELECT id, ver", "id", 10},
		{"lock", old, "SELECT id, ver", "id", 10},
		{"delete", func() { _, _ = s.Delete(t.Context(), many) }, "DELETE", "id", 0},
		{"delete far", func() { far(600) }, "DELETE", "id", 0},
		{"delete few", old, "DELETE", "id", 0},
		{"move", func() { _, _ = s.Move(t.Context(), refs[3], task.Row{Ref: refs[3]}) }, "UPDATE `t_task`", "id", 0},
		{"move many", func() {
			moves := make([]task.Move, len(many))
			for i, ref := range many {
				moves[i] = task.Move{Ref: ref, To: 2, DueMS: crowdMS}
			}
			_, _ = s.MoveMany(t.Context(), moves)
		}, "UPDATE `t_task` FORCE INDEX (id) SET next_ms", "id", 0},
		{"raise attempts", func() {
			_, _ = s.RaiseAttempts(t.Context(), []task.Attempts{{Ref: refs[3], Attempt: 2}, {Ref: refs[5], Attempt: 2}})
		},
			"UPDATE `t_task`", "id", 0},
		{"scan from the start", scan(task.Cursor{}), "SELECT next_ms", "PRIMARY", 1100},
		{"scan on", scan(task.Cursor{NextMS: 10_000_000, ID: "a"}), "SELECT next_ms", "PRIMARY", 1100},
		{"scan within a crowd", scan(task.Cursor{NextMS: crowdMS, ID: "8"}), "SELECT next_ms", "PRIMARY", 1100},
		{"scan past a crowd", scan(task.Cursor{NextMS: crowdMS, ID: "z"}), "SELECT next_ms", "PRIMARY", 1100},
		{"lock the dying", dying, "SELECT id, ver, COALESCE", "id", 10},
		{"bury", dying, "INSERT INTO `t_dead`", "id", 0},
		{"find the dead", dying, "SELECT id, ver FROM `t_dead`", "id", 10},
		{"list the dead", list(task.DeadFilter{}, letter), "SELECT dead_ms", "PRIMARY", 110},
		{"list the dead of a time", list(task.DeadFilter{FromMS: 3, BeforeMS: 4}, task.DeadCursor{}), "SELECT dead_ms", "PRIMARY", 110},
		{"list the dead by id", list(task.DeadFilter{IDPrefix: buried[9].ID[:2]}, task.DeadCursor{}), "SELECT dead_ms", "id", 110},
		{"requeue", requeue, "INSERT INTO `t_task`", "id", 0},
		{"delete a dead letter", requeue, "DELETE d", "id", 0},
		{"delete dead letters", func() { _, _ = s.DeleteDead(t.Context(), many) }, "DELETE d", "id", 0},
		{"first of the dead", purge(1), "SELECT dead_ms, attempt", "PRIMARY", 10},
		{"purge", purge(2), "DELETE", "PRIMARY", 0},
		{"count the dead", func() { _, _, _ = s.CountDead(t.Context(), 1000) }, "SELECT COUNT", "id", 2100},
		{"count before", func() { _, _ = s.CountBefore(t.Context(), 10_000_000, []int64{40_000_000}, 1000) }, "SELECT COUNT", "PRIMARY", 2100},
		{"lock what ends", func() {
			_, _ = s.End(t.Context(), endings([]task.Ref{refs[11], {ID: ids[2], Ver: 1}}, task.EndConfirmed))
		}, "SELECT id, ver, due_ms", "id", 10},
		{"first slot of the history", func() { _, _ = s.PurgeHistory(t.Context(), 5*task.SlotMS, 10) }, "SELECT slot FROM `t_done` FORCE INDEX (PRIMARY) WHERE slot >=", "PRIMARY", 10},
		{"last slot of the history", past, "SELECT slot FROM `t_done` FORCE INDEX (PRIMARY) WHERE slot <=", "PRIMARY", 10},
		{"history", past, "SELECT id, ended_ms", "PRIMARY", 500},
		{"purge the history", func() { _, _ = s.PurgeHistory(t.Context(), 5*task.SlotMS, 10) }, "DELETE FROM `t_done`", "PRIMARY", 0},
		{"scan down", func() { _, _ = s.ScanDown(t.Context(), task.Cursor{NextMS: crowdMS, ID: "8"}, 10_000_000, 1000, 1024) }, "SELECT next_ms", "PRIMARY", 1100},
		{"scan ids", byID(task.Range{IDPrefix: refs[7].ID[:3]}, ""), "SELECT next_ms", "id", 2100},
		{"scan ids on", byID(task.Range{IDPrefix: "8"}, "88"), "SELECT next_ms", "id", 2100},
		{"scan ids of a time", byID(task.Range{IDPrefix: "8", FromMS: 10_000_000, BelowMS: 40_000_000}, ""), "SELECT next_ms", "id", 9000},
		{"look at ids", byID(task.Range{IDPrefix: "8", FromMS: 10_000_000, BelowMS: 10_001_000}, ""), "SELECT COUNT", "id", 9000},
		{"count ids", count(task.Range{IDPrefix: "8", BelowMS: task.MaxDue + 1}, task.Cursor{}), "SELECT COUNT", "id", 16_000},
		{"count times", count(task.Range{FromMS: 10_000_000, BelowMS: task.MaxDue + 1}, task.Cursor{}), "SELECT COUNT", "PRIMARY", 41_000},
		{"count a crowd on", count(task.Range{BelowMS: task.MaxDue + 1}, task.Cursor{NextMS: crowdMS, ID: "8"}), "SELECT COUNT", "PRIMARY", 41_000},
		{"read the outbox", func() { _, _ = s.Outbox(t.Context(), 0, 1000) }, "SELECT entry", "entry", 10},
		{"delete from the outbox", func() { _ = s.DeleteOutbox(t.Context(), []int64{1, 2, 3}) }, "DELETE o FROM (SELECT", "entry", 0},
		{"count", func() { _, _, _ = s.Count(t.Context(), 1000) }, "SELECT COUNT", "PRIMARY", 2100},
	}
}

func (c planCase) check(t *testing.T, db *sql.DB, calls []call) {
	if len(calls) == 0 {
		t.Fatalf("no statement that begins with %q was sent", c.stmt)
	}
	var on []string
	for _, s := range explain(t, db, calls[0]) {
		if !ofTasks(s) {
			continue
		}
		on = append(on, s.typ+" "+s.key)
		// MySQL 5.6 collects the rows of an UPDATE by several keys before it changes them.
		temporary := strings.Contains(s.extra, "temporary") && !strings.HasPrefix(c.stmt, "UPDATE")
		if strings.Contains(s.extra, "filesort") || temporary {
			t.Errorf("its plan says %q", s.extra)
		}
	}
	most := 1 + strings.Count(calls[0].stmt, "(SELECT") // servers may show what a subquery reads, or not
	if len(on) == 0 || len(on) > most || slices.ContainsFunc(on, func(s string) bool { return !strings.HasSuffix(s, " "+c.key) }) {
		t.Errorf("it goes by %q, want %s: %.200s", on, c.key, calls[0].stmt)
	}
	if c.most > 0 {
		if n := rowsRead(t, db, calls[0]); n > c.most {
			t.Errorf("it reads %d rows, want at most %d: %.200s", n, c.most, calls[0].stmt)
		}
	}
}
