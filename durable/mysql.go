package durable

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/task"
)

//go:embed sql/*.sql
var statements embed.FS

const (
	// maxRows of one statement: one commit stays short, and so does what a
	// deadlock throws away. Larger statements were no faster.
	maxRows = 1000
	// flights is how many grouped statements of a kind are under way at once:
	// with flush per commit 4 connections reach the server's insert rate.
	flights = 4
	// worth is how many rows are worth a commit of their own beside one that is
	// under way: from 50 to 200 made no difference, below that commits ate what
	// they saved in waiting.
	worth = 100
	// patience is how long a statement may keep others waiting for its commit: a
	// server nearby has answered by then, so that few callers share; a far one has
	// not, so that its statements overlap.
	patience = 3 * time.Millisecond
	// spacing is how far apart the statements of callers are that come on their own: with 1,000 creates a second a statement has
	// three rows in place of two, for which a caller waits a millisecond more. 4 ms would save little more.
	spacing = 3 * time.Millisecond
)

// Options of NewMySQL.
type Options struct {
	// Namespace is the prefix of the tables, task.DefaultNamespace if empty.
	Namespace string
}

// MySQL is the Store for production: MySQL 5.7, 8 and 9, MariaDB 10.6 and later,
// through go-sql-driver/mysql.
//
// It needs a *sql.DB of its own, because it sets the session of each connection, once and in
// one statement, and leaves it set. It sets what changes the meaning of its statements or how
// long they take, whatever the DSN, the server's configuration or init_connect say:
//
//   - the character set binary, sql_mode STRICT_ALL_TABLES and no other, READ COMMITTED, no
//     read-only transactions, autocommit, completion_type, unique_checks, sql_select_limit,
//     sql_big_selects, sql_safe_updates, max_sort_length, the time zone, and how the server looks up
//     long lists of ids;
//   - waits of 1 s for a row and 2 s for a table, max_execution_time and MariaDB's
//     max_statement_time of 10 s;
//   - wsrep_sync_wait on a cluster. In a group of servers (Group Replication) reads use
//     group_replication_consistency BEFORE, with a wait_timeout of 10 s, and writes use what the
//     group is configured with. Before MySQL 8.0.14 there is no BEFORE, and a member that lags, or was
//     deposed, is not noticed.
//
// interpolateParams=true saves round trips and is recommended.
type MySQL struct {
	db        *sql.DB
	ns        string
	sql       map[string]string       // by file name, without .sql
	schema    []migration             // as this library knows it
	timeout   time.Duration           // statementTimeout
	server    atomic.Int64            // the server's max_allowed_packet, 0 until known
	packet    atomic.Int64            // the same, or less if the driver takes less
	groups                            // of calls that share statements
	ungrouped groups                  // of calls that failed in a group; each goes alone
	session   atomic.Pointer[session] // nil until the first connection has asked its server
	low       lowState                // what is known of the low bound
	allFar    atomic.Bool             // all rows of the last DeleteByID with many ids were far: later than its aboveMS, and never moved

	mu    sync.Mutex
	ready map[any]*link // driver connections whose session is set
}

// groups has the calls that wait for a statement that they share.
type groups struct {
	creates coalesce.Group[[]task.Row, struct{}]
	deletes coalesce.Group[[]task.Ref, []bool]
	ends    coalesce.Group[[]task.Ending, []bool]
	byID    coalesce.Group[deletionByID, []task.Row]
	finds   coalesce.Group[[]string, []task.Ref]
}

// NewMySQL returns the Store of a namespace in the database that db's DSN names.
// It does no I/O and starts nothing. The caller that opened db closes it. The error matches
// task.ErrInvalid.
func NewMySQL(db *sql.DB, o Options) (*MySQL, error) {
	if o.Namespace == "" {
		o.Namespace = task.DefaultNamespace
	}
	err := task.CheckNamespace(o.Namespace)
	if db == nil {
		err = errors.Join(fmt.Errorf("%w: db is nil", task.ErrInvalid), err)
	}
	if err != nil {
		return nil, fmt.Errorf("new MySQL store: %w", err)
	}
	m := &MySQL{db: db, ns: o.Namespace, timeout: statementTimeout, ready: map[any]*link{}}
	m.low.now = time.Now
	if m.sql, err = load(o.Namespace); err != nil {
		return nil, err
	}
	if m.schema, err = loadMigrations(o.Namespace); err != nil {
		return nil, err
	}
	m.group(&m.groups, 0)
	m.group(&m.ungrouped, 1)
	return m, nil
}

// group makes up to most calls of g share a statement. A most of 0 means as many as fit.
func (m *MySQL) group(g *groups, most int) {
	g.creates = coalesce.Group[[]task.Row, struct{}]{
		Parallel: flights, Worth: worth, Patience: patience, Spacing: spacing, Max: most, MaxWeight: maxRows, Weigh: m.share, Flush: m.createAll,
	}
	g.deletes = coalesce.Group[[]task.Ref, []bool]{
		Parallel: flights, Worth: worth, Patience: patience, Spacing: spacing, Max: most, MaxWeight: maxRows, Weigh: m.refsShare, Flush: m.deleteAll,
	}
	g.ends = coalesce.Group[[]task.Ending, []bool]{
		Parallel: flights, Worth: worth, Patience: patience, Spacing: spacing, Max: most, MaxWeight: maxRows, Weigh: m.endsShare, Flush: m.endAll,
	}
	g.byID = coalesce.Group[deletionByID, []task.Row]{
		Parallel: flights, Worth: worth, Patience: patience, Spacing: spacing, Max: most, MaxWeight: maxRows, Flush: m.deleteAllByID,
		Weigh: func(d deletionByID) int { return m.idsShare(d.ids) },
	}
	g.finds = coalesce.Group[[]string, []task.Ref]{
		Parallel: flights, Worth: worth, Patience: patience, Max: most, MaxWeight: maxRows, Weigh: m.idsShare, Flush: m.findAll,
	}
}

// one makes one call. The call shares statements with others through g. If it needs more than one
// statement it goes alone and at once: others do not wait for its many statements and do not
// share its failure, and its own context ends it.
func one[T, R any](ctx context.Context, g *coalesce.Group[T, R], alone func(context.Context, []T) []coalesce.Result[R], call T, share int) (R, error) {
	if share <= maxRows {
		return g.Do(ctx, call)
	}
	r := alone(ctx, []T{call})[0]
	return r.Value, r.Err
}

// load reads the statements and puts the namespace in.
func load(ns string) (map[string]string, error) {
	files, err := statements.ReadDir("sql")
	if err != nil {
		return nil, fmt.Errorf("read statements: %w", err)
	}
	all := make(map[string]string, len(files))
	for _, f := range files {
		text, err := statements.ReadFile("sql/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("read statement %s: %w", f.Name(), err)
		}
		all[strings.TrimSuffix(f.Name(), ".sql")] = body(string(text), ns)
	}
	return all, nil
}

// body drops the comment lines and names the tables.
func body(text, ns string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "--") {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	return strings.ReplaceAll(strings.Join(lines, "\n"), "{ns}", ns)
}

// Namespace implements Store.
func (m *MySQL) Namespace() string { return m.ns }

// Versions implements Store. Concurrent calls share statements.
func (m *MySQL) Versions(ctx context.Context, ids []string) ([]task.Ref, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	refs, err := one(ctx, &m.finds, m.findEach, slices.Clone(ids), m.idsShare(ids))
	if err != nil {
		return nil, fmt.Errorf("find versions of %d tasks: %w", len(ids), err)
	}
	return refs, nil
}

// findAll is the Flush of Versions.
func (m *MySQL) findAll(calls [][]string) []coalesce.Result[[]task.Ref] {
	return m.findEach(context.Background(), calls)
}

func (m *MySQL) findEach(ctx context.Context, calls [][]string) []coalesce.Result[[]task.Ref] {
	ctx, cancel := m.paced(ctx)
	defer cancel()
	ids := slices.Concat(calls...)
	slices.Sort(ids)
	found, err := m.find(ctx, slices.Compact(ids))
	res := make([]coalesce.Result[[]task.Ref], len(calls))
	for i, call := range calls {
		res[i].Err = m.nameTimeout(ctx, err)
		for _, id := range call {
			if r, ok := found[id]; ok && err == nil {
				res[i].Value = append(res[i].Value, r.Ref)
			}
		}
	}
	return res
}

// find returns the rows of ids that exist, with versions and due times alone.
func (m *MySQL) find(ctx context.Context, ids []string) (map[string]task.Row, error) {
	found := make(map[string]task.Row, len(ids))
	err := eachPart(ctx, m, ids, m.idShare, func(part []string) error {
		return m.retry(ctx, "find versions", func(conn *sql.Conn) error {
			some, err := m.versions(ctx, conn, part)
			maps.Copy(found, some)
			return err
		})
	})
	return found, err
}

// Count implements Store. It counts from the low bound on. Above limit the estimate is the
// optimizer's.
func (m *MySQL) Count(ctx context.Context, limit int) (n int64, exact bool, err error) {
	err = m.bounded(ctx, "count tasks", func(ctx context.Context, conn *sql.Conn) error {
		b, err := m.readLow(ctx, conn)
		if err != nil {
			return err
		}
		if err := conn.QueryRowContext(ctx, m.sql["count_tasks"], b.LowMS, limit+1).Scan(&n); err != nil {
			return err
		}
		exact = n <= int64(limit)
		if exact {
			return nil
		}
		est, err := m.estimate(ctx, conn, "estimate_tasks")
		n = max(n, est)
		return err
	})
	return n, exact, err
}

// estimate reads the column rows of a plan, wherever the server puts it.
func (m *MySQL) estimate(ctx context.Context, conn *sql.Conn, stmt string, args ...any) (int64, error) {
	rows, err := conn.QueryContext(ctx, m.sql[stmt], args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil || !rows.Next() {
		return 0, errors.Join(err, rows.Err())
	}
	var est sql.NullInt64
	into := make([]any, len(cols))
	for i, c := range cols {
		into[i] = new(sql.RawBytes)
		if strings.EqualFold(c, "rows") {
			into[i] = &est
		}
	}
	return est.Int64, errors.Join(rows.Scan(into...), rows.Close())
}

// query reads rows in the column order of get_tasks and scan_tasks, whose first two arguments are inline: a payload that is
// longer than that together with its headers is left out with them. (The statement compares the payload alone, which costs it
// less, for most rows have no headers.)
func query(ctx context.Context, conn querier, stmt string, inline int, args ...any) ([]task.Row, error) {
	rows, err := conn.QueryContext(ctx, stmt, append([]any{inline, inline}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []task.Row
	for rows.Next() {
		var r task.Row
		var headers sql.RawBytes
		var expires sql.NullInt64
		if err := rows.Scan(&r.NextMS, &r.ID, &r.DueMS, &r.Ver, &r.Attempt, &r.CreatedMS, &r.PrevVer, &r.Payload, &headers, &r.Size, &expires); err != nil {
			return nil, err
		}
		r.Headers, r.ExpiresMS = string(headers), expires.Int64
		if len(r.Payload) == 0 || r.Size > inline {
			r.Payload = nil
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// versions is find on one connection, or in a transaction.
func (m *MySQL) versions(ctx context.Context, conn querier, ids []string) (map[string]task.Row, error) {
	found := make(map[string]task.Row, len(ids))
	err := eachPart(ctx, m, ids, m.idShare, func(part []string) error {
		rows, err := queryVersions(ctx, conn, expand(m.sql["find_versions"], len(part)), idArgs(part)...)
		for _, r := range rows {
			found[r.ID] = r
		}
		return err
	})
	return found, err
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// queryVersions reads rows in the column order of find_versions and lock_tasks.
func queryVersions(ctx context.Context, q querier, stmt string, args ...any) ([]task.Row, error) {
	rows, err := q.QueryContext(ctx, stmt, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []task.Row
	for rows.Next() {
		var r task.Row
		if err := rows.Scan(&r.ID, &r.Ver, &r.PrevVer, &r.NextMS, &r.ExpiresMS); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// expand writes n placeholders for {ids} and {vers}.
func expand(stmt string, n int) string {
	marks := strings.TrimSuffix(strings.Repeat("?,", n), ",")
	return strings.NewReplacer("{ids}", marks, "{vers}", marks).Replace(stmt)
}

// idArgs binds ids as bytes, so that no character set applies to them.
func idArgs(ids []string) []any {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = []byte(id)
	}
	return args
}

func refArgs(refs []task.Ref) []any {
	args := make([]any, 2*len(refs))
	for i, r := range refs {
		args[i], args[len(refs)+i] = []byte(r.ID), r.Ver
	}
	return args
}
