package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Closing(m).Run()) }

// scheduler is one on MySQL and Redis.
func scheduler(t *testing.T, o triggerhook.Options) *triggerhook.Scheduler {
	t.Helper()
	server := testserver.Shared(t, testserver.MySQL)
	name := server.Database(t) // of the database, and of the namespace: tests share Redis
	db, err := sql.Open("mysql", server.DSN(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	rdb := redis.NewClient(&redis.Options{Addr: testserver.Shared(t, testserver.Redis).Addr})
	t.Cleanup(func() { rdb.Close() })
	store, err := durable.NewMySQL(db, durable.Options{Namespace: name})
	if err == nil {
		err = store.Migrate(t.Context(), 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: name})
	if err != nil {
		t.Fatal(err)
	}
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := triggerhook.New(store, set, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// has checks that the tasks of a prefix are those of payloads, by ID, due at that time and of that type.
func has(t *testing.T, s *triggerhook.Scheduler, prefix string, due time.Time, kind string, payloads map[string]string) {
	t.Helper()
	n := 0
	for task, err := range s.List(t.Context(), triggerhook.Filter{IDPrefix: prefix}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		want, is := payloads[task.ID]
		if !is || string(task.Payload) != want || task.Headers["type"] != kind || task.Due.Sub(due).Abs() > time.Second {
			t.Errorf("there is %q, due at %s, of type %q, with %q; want %q, due at %s", task.ID, task.Due, task.Headers["type"], task.Payload, want, due)
		}
	}
	if n != len(payloads) {
		t.Errorf("%d tasks were moved, want %d", n, len(payloads))
	}
}

// What asynq has scheduled for later is moved, whole and once, also if the move is repeated; what it is about to run stays with it.
func TestAsynqsScheduledTasksAreMoved(t *testing.T) {
	t.Parallel()
	s, old := scheduler(t, triggerhook.Options{}), redis.NewClient(&redis.Options{Addr: testserver.Own(t, testserver.Redis).Addr})
	defer old.Close()
	client, inspector := asynq.NewClientFromRedisClient(old), asynq.NewInspectorFromRedisClient(old)
	due, want := time.Now().Add(24*time.Hour), map[string]string{}
	for i := range 1100 {
		id := fmt.Sprint("reminder-", i)
		if _, err := client.Enqueue(asynq.NewTask("reminder", []byte(id)), asynq.TaskID(id), asynq.ProcessAt(due), asynq.Queue("mail")); err != nil {
			t.Fatal(err)
		}
		want["asynq/mail/"+id] = id
	}
	if _, err := client.Enqueue(asynq.NewTask("reminder", nil), asynq.TaskID("soon"), asynq.ProcessIn(time.Minute), asynq.Queue("mail")); err != nil {
		t.Fatal(err)
	}
	// A try before has created a task, and was killed before it deleted it from asynq.
	if _, err := s.Upsert(t.Context(), triggerhook.Keep, ofAsynq(&asynq.TaskInfo{ID: "reminder-7", Queue: "mail", Type: "reminder", Payload: []byte("reminder-7"), NextProcessAt: due})); err != nil {
		t.Fatal(err)
	}
	for _, moves := range []int{1100, 0} {
		if n, err := FromAsynq(t.Context(), inspector, "mail", s, time.Now().Add(10*time.Minute)); err != nil || n != moves {
			t.Errorf("%d tasks were moved, %v, want %d", n, err, moves)
		}
	}
	has(t, s, "asynq/", due, "reminder", want)
	if left, err := inspector.ListScheduledTasks("mail"); err != nil || len(left) != 1 || left[0].ID != "soon" {
		t.Errorf("asynq has %d tasks left, %v, want the one that is due soon", len(left), err)
	}
}

// reminder is a job of river.
type reminder struct {
	Text string `json:"text"`
}

// Kind is its name in river.
func (reminder) Kind() string { return "reminder" }

// What river has scheduled for later is moved, whole and once; a move that fails leaves the jobs with river.
func TestRiversScheduledJobsAreMoved(t *testing.T) {
	t.Parallel()
	s, pool := scheduler(t, triggerhook.Options{}), postgres(t)
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		_, err = migrator.Migrate(t.Context(), rivermigrate.DirectionUp, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	client, err := river.NewClient(driver, &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	due := time.Now().Add(24 * time.Hour)
	params := []river.InsertManyParams{{Args: reminder{"soon"}, InsertOpts: &river.InsertOpts{ScheduledAt: time.Now().Add(time.Minute)}}}
	for i := range 1100 {
		params = append(params, river.InsertManyParams{Args: reminder{fmt.Sprint(i)}, InsertOpts: &river.InsertOpts{ScheduledAt: due}})
	}
	inserted, err := client.InsertMany(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for i, r := range inserted[1:] {
		want[fmt.Sprint("river/", r.Job.ID)] = fmt.Sprintf(`{"text": "%d"}`, i)
	}
	left := func() (n int) {
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM river_job WHERE state = 'scheduled'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	conn := connection(t, pool)
	small := scheduler(t, triggerhook.Options{MaxPayload: 1})
	if n, err := FromRiver(t.Context(), conn, small, due.Add(-time.Hour)); !errors.Is(err, triggerhook.ErrInvalid) || n != 0 || left() != 1101 {
		t.Errorf("%d jobs were moved to a scheduler that refuses them, %v, and river has %d left, want all", n, err, left())
	}
	for _, moves := range []int{1100, 0} {
		if n, err := FromRiver(t.Context(), conn, s, due.Add(-time.Hour)); err != nil || n != moves {
			t.Errorf("%d jobs were moved, %v, want %d", n, err, moves)
		}
	}
	has(t, s, "river/", due, "reminder", want)
	if n := left(); n != 1 {
		t.Errorf("river has %d jobs left, want the one that is due soon", n)
	}
}

func postgres(t *testing.T) *pgxpool.Pool {
	t.Helper()
	server := testserver.Shared(t, testserver.Postgres)
	pool, err := pgxpool.New(t.Context(), "postgres://postgres@"+server.Addr+"/postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func connection(t *testing.T, pool *pgxpool.Pool) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}
