package triggerhook_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// wire counts the round trips of connections: a write that follows a read, or is the first, is one.
type wire struct{ trips atomic.Int64 }

type wireConn struct {
	net.Conn
	w     *wire
	asked atomic.Bool
}

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &wireConn{Conn: c, w: w}, nil
}

func (c *wireConn) Write(p []byte) (int, error) {
	if !c.asked.Swap(true) {
		c.w.trips.Add(1)
	}
	return c.Conn.Write(p)
}

func (c *wireConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.asked.Store(false)
	return n, err
}

// calls notes the calls that go to the two stores.
type calls struct {
	mu  sync.Mutex
	all []string
}

func (c *calls) note(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, name)
}

func (c *calls) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.all
	c.all = nil
	return all
}

type notedStore struct {
	durable.Store
	*calls
}

func (s notedStore) Create(ctx context.Context, rows []task.Row) error {
	s.note("Create")
	return s.Store.Create(ctx, rows)
}

func (s notedStore) Delete(ctx context.Context, refs []task.Ref) ([]bool, error) {
	s.note("Delete")
	return s.Store.Delete(ctx, refs)
}

func (s notedStore) DeleteByID(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error) {
	s.note("DeleteByID")
	return s.Store.DeleteByID(ctx, ids, aboveMS)
}

func (s notedStore) Move(ctx context.Context, ref task.Ref, to task.Row) (bool, error) {
	s.note("Move")
	return s.Store.Move(ctx, ref, to)
}

func (s notedStore) MoveMany(ctx context.Context, moves []task.Move) ([]bool, error) {
	s.note("MoveMany")
	return s.Store.MoveMany(ctx, moves)
}

func (s notedStore) Replace(ctx context.Context, ref task.Ref, to task.Row) (bool, error) {
	s.note("Replace")
	return s.Store.Replace(ctx, ref, to)
}

func (s notedStore) Upsert(ctx context.Context, rows []task.Row, on task.OnConflict) ([]task.Upserted, error) {
	s.note("Upsert")
	return s.Store.Upsert(ctx, rows, on)
}

func (s notedStore) ScanIDs(ctx context.Context, r task.Range, after string, limit, inline int) (task.IDPage, error) {
	s.note("ScanIDs")
	return s.Store.ScanIDs(ctx, r, after, limit, inline)
}

func (s notedStore) CountPage(ctx context.Context, r task.Range, after task.Cursor) (task.CountPage, error) {
	s.note("CountPage")
	return s.Store.CountPage(ctx, r, after)
}

func (s notedStore) RaiseAttempts(ctx context.Context, counts []task.Attempts) (int, error) {
	s.note("RaiseAttempts")
	return s.Store.RaiseAttempts(ctx, counts)
}

func (s notedStore) Get(ctx context.Context, ids []string) ([]task.Row, error) {
	s.note("Get")
	return s.Store.Get(ctx, ids)
}

func (s notedStore) Versions(ctx context.Context, ids []string) ([]task.Ref, error) {
	s.note("Versions")
	return s.Store.Versions(ctx, ids)
}

func (s notedStore) Scan(ctx context.Context, after task.Cursor, belowMS int64, limit, inline int) ([]task.Row, error) {
	if after == (task.Cursor{}) {
		s.note("ScanFromStart")
	} else {
		s.note("Scan")
	}
	return s.Store.Scan(ctx, after, belowMS, limit, inline)
}

func (s notedStore) Advance(ctx context.Context, nowMS int64) error {
	s.note("Advance")
	return s.Store.Advance(ctx, nowMS)
}

func (s notedStore) Records(ctx context.Context) (task.Records, error) {
	s.note("Records")
	return s.Store.Records(ctx)
}

type notedSet struct {
	hotset.Set
	*calls
}

func (s notedSet) Clock(ctx context.Context, p int) (task.AsOf, error) {
	s.note("Clock")
	return s.Set.Clock(ctx, p)
}

func (s notedSet) State(ctx context.Context, p int) (task.State, error) {
	s.note("State")
	return s.Set.State(ctx, p)
}

func (s notedSet) Horizon(ctx context.Context, p int, f task.HorizonRequest) (task.PartitionStatus, error) {
	s.note("Horizon")
	return s.Set.Horizon(ctx, p, f)
}

func (s notedSet) Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error) {
	s.note("Feed")
	return s.Set.Feed(ctx, p, page)
}

func (s notedSet) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	s.note("Add")
	return s.Set.Add(ctx, p, a)
}

func (s notedSet) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	s.note("Remove")
	return s.Set.Remove(ctx, p, token, refs)
}

func (s notedSet) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	s.note("RemoveHeld")
	return s.Set.RemoveHeld(ctx, p, held)
}

func (s notedSet) Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error) {
	s.note("Claim")
	return s.Set.Claim(ctx, p, req)
}

func (s notedSet) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	s.note("Extend")
	return s.Set.Extend(ctx, p, h)
}

func (s notedSet) Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.ReleaseOutcome, error) {
	s.note("Release")
	return s.Set.Release(ctx, p, r)
}

func (s notedSet) Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error) {
	s.note("Find")
	return s.Set.Find(ctx, p, refs)
}

func (s notedSet) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error) {
	s.note("Expired")
	return s.Set.Expired(ctx, p, limit, lease)
}

// tableRows returns the cells of the rows of the table in docs/design.md that has this head.
func tableRows(t *testing.T, head string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "\n"+head+"\n")
	if !found {
		t.Fatalf("docs/design.md has no table with the head %s", head)
	}
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			break
		}
		if strings.HasPrefix(line, "| ---") {
			continue
		}
		var cells []string
		for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(c))
		}
		rows = append(rows, cells)
	}
	return rows
}

const (
	callTable = "| call | statements or scripts | round trips |"
	stepTable = "| step | calls in order | MySQL | Redis |"
)

// documentedCosts is the first table: how many round trips each call takes.
func documentedCosts(t *testing.T) map[string]int {
	t.Helper()
	costs := map[string]int{}
	for _, row := range tableRows(t, callTable) {
		n, err := strconv.Atoi(row[len(row)-1])
		if err != nil || len(row) != 3 {
			t.Fatalf("not a row with a number: %q", row)
		}
		costs[row[0]] = n
	}
	return costs
}

// wired returns a store and a hot set on real servers, and the counters of their connections.
func wired(t *testing.T) (durable.Store, hotset.Set, *sql.DB, *wire) {
	t.Helper()
	server, cache := testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis)
	w := &wire{}
	cfg, err := mysql.ParseDSN(server.DSN(server.Database(t)))
	if err != nil {
		t.Fatal(err)
	}
	cfg.InterpolateParams, cfg.DialFunc = true, w.dial
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db, rdb := sql.OpenDB(connector), redis.NewClient(&redis.Options{Addr: cache.Addr, Dialer: w.dial})
	t.Cleanup(func() { db.Close(); rdb.Close() })
	ns := "r" + strings.ToLower(rand.Text()[:10])
	store, err := durable.NewMySQL(db, durable.Options{Namespace: ns})
	if err != nil {
		t.Fatal(err)
	}
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: ns})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return store, set, db, w
}

// someRows returns n rows that are due in an hour.
func someRows(n int) []task.Row {
	rows, due := make([]task.Row, n), time.Now().Add(time.Hour).UnixMilli()
	for i := range rows {
		rows[i] = task.Row{Ref: task.Ref{ID: fmt.Sprint("task-", i), Ver: task.NewVer()}, NextMS: due, DueMS: due, Payload: []byte("x")}
	}
	return rows
}

// Each call of a store takes as many round trips as docs/design.md says. They are counted on
// the connections: the second of two equal calls, because the first may load a script.
func TestCallsTakeTheRoundTripsThatTheDesignNames(t *testing.T) {
	store, set, _, w := wired(t)
	ctx, want, seen := t.Context(), documentedCosts(t), map[string]bool{}
	check := func(name string, call func() error) {
		t.Helper()
		before := w.trips.Load()
		if err := call(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := int(w.trips.Load() - before)
		if n, is := want[name]; !is {
			t.Errorf("docs/design.md has no row for %s, which took %d round trips", name, got)
		} else if got != n {
			t.Errorf("%s took %d round trips, docs/design.md says %d", name, got, n)
		}
		seen[name] = true
	}
	checkStore(t, store, check)
	checkSet(t, ctx, set, check)
	for name := range want {
		if !seen[name] {
			t.Errorf("docs/design.md counts the round trips of %s, and nothing measures them", name)
		}
	}
}

type checker = func(name string, call func() error)

func checkStore(t *testing.T, store durable.Store, check checker) {
	ctx := t.Context()
	create := func(rows []task.Row) func() error { return func() error { return store.Create(ctx, rows) } }
	del := func(rows []task.Row) func() error {
		return func() error { _, err := store.Delete(ctx, task.Versions(rows)); return err }
	}
	drop := func(rows []task.Row, above int64) func() error {
		return func() error { _, err := store.DeleteByID(ctx, idsOf(rows), above); return err }
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rows := someRows(1001)
	must(create(rows[:1])()) // opens the connection
	must(del(rows[:1])())
	check("`Create` of 1 to 1000 rows", create(rows[:1000]))
	check("`Delete` of 51 to 1000 rows", del(rows[:1000]))
	check("`Create` of 1001 to 2000 rows", create(rows))
	check("`Delete` of 1 to 50 rows", del(rows[:50]))
	check("`Delete` of 2 to 50 rows, one is missing", del(rows[49:52]))
	check("`DeleteByID` of 1 to 50 rows", drop(rows[52:60], task.MaxDue))
	check("`DeleteByID` of 51 to 1000 rows", drop(rows[60:160], 0))
	check("`DeleteByID` of 51 to 1000 far rows, if the call before met only far rows", drop(rows[160:260], 0))
	one, to := rows[300], rows[300]
	to.Ver = task.NewVer()
	check("`Move`, `Replace`", func() error { _, err := store.Move(ctx, one.Ref, to); return err })
	check("`Move`, `Replace`", func() error { _, err := store.Replace(ctx, to.Ref, one); return err })
	check("`MoveMany` of up to about 250 rows", func() error {
		_, err := store.MoveMany(ctx, []task.Move{{Ref: rows[310].Ref, To: task.NewVer(), DueMS: rows[310].NextMS}})
		return err
	})
	upsert := func() error { _, err := store.Upsert(ctx, someRows(1000), task.Keep); return err }
	check("`Upsert` of 1 to 1000 rows", upsert)
	check("`Upsert` of 1 to 1000 rows", func() error { _, err := store.Upsert(ctx, rows[302:303], task.Debounce); return err })
	check("`RaiseAttempts` of rows with the same attempts", func() error {
		_, err := store.RaiseAttempts(ctx, []task.Attempts{{Ref: rows[301].Ref, Attempt: 9}, {Ref: rows[302].Ref, Attempt: 9}})
		return err
	})
	checkDead(ctx, rows[400:500], store, check)
	checkHistory(ctx, rows[500:800], store.(durable.Historian), check)
	check("`Get`, `Versions`", func() error { _, err := store.Get(ctx, []string{one.ID}); return err })
	check("`Get`, `Versions`", func() error { _, err := store.Versions(ctx, []string{one.ID}); return err })
	check("`Scan` from a cursor", func() error { _, err := store.Scan(ctx, rows[301].Cursor(), task.MaxDue, 100, 100); return err })
	check("`Scan` from the start", func() error { _, err := store.Scan(ctx, task.Cursor{}, task.MaxDue, 100, 100); return err })
	check("`ScanDown` to a time above the low bound", func() error { _, err := store.ScanDown(ctx, rows[301].Cursor(), 1, 100, 100); return err })
	some, of := task.Range{IDPrefix: "task-", BelowMS: task.MaxDue + 1}, task.Range{IDPrefix: "task-", BelowMS: task.MaxDue}
	check("`ScanIDs`, `CountPage` from a cursor", func() error { _, err := store.ScanIDs(ctx, some, "", 100, 100); return err })
	check("`ScanIDs`, `CountPage` from a cursor", func() error { _, err := store.CountPage(ctx, some, task.Cursor{}); return err })
	check("`ScanIDs` of a time, `CountPage` from the start", func() error { _, err := store.ScanIDs(ctx, of, "", 100, 100); return err })
	some.IDPrefix = ""
	check("`ScanIDs` of a time, `CountPage` from the start", func() error { _, err := store.CountPage(ctx, some, task.Cursor{}); return err })
	check("`Records`", func() error { _, err := store.Records(ctx); return err })
	check("`SwapRecord`", func() error { _, err := store.SwapRecord(ctx, "test", "", "x"); return err })
	now := time.Now().UnixMilli()
	check("`CountBefore` of one time beyond the low bound, up to the limit", func() error {
		_, err := store.CountBefore(ctx, now, []int64{now + 1000}, 2000)
		return err
	})
	must(store.Advance(ctx, now))
	check("`Advance` that has nothing to do", func() error { return store.Advance(ctx, now+1000) })
}

func checkDead(ctx context.Context, rows []task.Row, store durable.Store, check checker) {
	burials := make([]task.Burial, len(rows))
	for i, r := range rows {
		burials[i] = task.Burial{Ref: r.Ref, Reason: task.ReasonExpired}
	}
	check("`Bury` of 1 to 100 rows that died alike", func() error { _, err := store.Bury(ctx, burials); return err })
	check("`Dead`", func() error { _, err := store.Dead(ctx, task.DeadFilter{}, task.DeadCursor{}, 10); return err })
	check("`DeleteDead`", func() error { _, err := store.DeleteDead(ctx, []task.Ref{{ID: "a", Ver: 1}}); return err })
	back := task.Row{Ref: task.Ref{ID: rows[0].ID, Ver: task.NewVer()}, NextMS: rows[0].NextMS}
	check("`Requeue`", func() error { _, err := store.Requeue(ctx, rows[0].Ref, back); return err })
}

func checkHistory(ctx context.Context, rows []task.Row, store durable.Historian, check checker) {
	ends, burials := make([]task.Ending, len(rows)), make([]task.Burial, len(rows))
	for i, r := range rows {
		ends[i] = task.Ending{Ref: r.Ref, How: task.EndConfirmed, EndedMS: time.Now().UnixMilli()}
		burials[i] = task.Burial{Ref: r.Ref, Reason: task.ReasonExpired}
	}
	check("`End` of 1 to 1000 rows", func() error { _, err := store.End(ctx, ends[:1]); return err })
	check("`End` of 1 to 1000 rows", func() error { _, err := store.End(ctx, ends[1:90]); return err })
	whole := slices.Clone(ends[200:290])
	for i, r := range rows[200:290] {
		whole[i].DueMS, whole[i].CreatedMS = r.DueMS, max(1, r.CreatedMS)
	}
	check("the same where callers know what the history keeps of the rows", func() error { _, err := store.End(ctx, whole[:1]); return err })
	check("the same where callers know what the history keeps of the rows", func() error { _, err := store.End(ctx, whole[1:]); return err })
	check("`EndByID` of 1 to 1000 rows", func() error { _, err := store.EndByID(ctx, ends[90:100]); return err })
	check("`EndDead` of 1 to 100 rows that died alike", func() error { _, err := store.EndDead(ctx, burials[100:200], ends[100:200]); return err })
	check("`History` of two months", func() error { _, err := store.History(ctx, rows[0].ID, 10); return err })
}

func idsOf(rows []task.Row) []string {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	return ids
}

func checkSet(t *testing.T, ctx context.Context, set hotset.Set, check checker) {
	const many, few = "a call of up to 1000 members", "`Horizon`, `State`, `Waiting`, `Elect`"
	var asOf task.AsOf
	now := time.Now().UnixMilli()
	horizon := task.HorizonRequest{Epoch: 1, HorizonMS: now + 60_000, Limit: 1000}
	if _, err := set.Horizon(ctx, 0, horizon); err != nil { // begins a generation
		t.Fatal(err)
	}
	for _, check := range []checker{func(name string, call func() error) {
		if err := call(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}, check} { // the first round loads the scripts
		id := rand.Text()
		due := task.Entry{Ref: task.Ref{ID: id, Ver: 1}, NextMS: now, DueMS: now}
		other := task.Entry{Ref: task.Ref{ID: id + "2", Ver: 1}, NextMS: now + 30_000, DueMS: now}
		check(few, func() error { _, err := set.Horizon(ctx, 0, horizon); return err })
		check(few, func() error { _, err := set.State(ctx, 0); return err })
		check(few, func() error { _, err := set.Waiting(ctx, 0, now, now+60_000); return err })
		check(few, func() error { _, err := set.Elect(ctx, "me", time.Second, task.Feeder); return err })
		check("`Clock` within 5 s of another answer", func() (err error) { asOf, err = set.Clock(ctx, 0); return err })
		add := task.AddRequest{AsOf: asOf, Entries: []task.Entry{due, other}}
		check(many, func() error { _, err := set.Add(ctx, 0, add); return err })
		page := task.FeedRequest{AsOf: asOf, Epoch: 1, Entries: add.Entries, Loaded: task.Cursor{NextMS: now}}
		check(many, func() error { _, err := set.Feed(ctx, 0, page); return err })
		var b task.Batch
		check(many, func() (err error) {
			b, err = set.Claim(ctx, 0, task.ClaimRequest{Token: id, Limit: 10, Lease: time.Millisecond})
			return err
		})
		if len(b.Claims) != 1 {
			t.Fatalf("claimed %d members, want the one that is due", len(b.Claims))
		}
		h := task.ExtendRequest{Generation: asOf.Generation, Lease: time.Millisecond, Tokens: []string{id}, Refs: []task.Ref{due.Ref}}
		check(many, func() error { _, err := set.Extend(ctx, 0, h); return err })
		check("`Find`", func() error { _, err := set.Find(ctx, 0, []task.Ref{due.Ref}); return err })
		back := task.ReleaseRequest{Token: id, Refs: []task.Ref{due.Ref}, Delay: time.Second}
		var over []task.ExpiredBatch
		check("`Expired` that finds one batch", func() (err error) {
			sleep(t, 5*time.Millisecond)
			over, err = set.Expired(ctx, 0, 10, 0)
			return err
		})
		if len(over) != 1 {
			t.Fatalf("found %d expired batches, want 1", len(over))
		}
		check(many, func() error { _, err := set.Release(ctx, 0, back); return err })
		check(many, func() error { _, err := set.Remove(ctx, 0, "", []task.Ref{due.Ref, other.Ref}); return err })
	}
}
