package orders

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/jmoiron/sqlx"
	"github.com/redis/go-redis/v9"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/mysqldialect"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Closing(m).Run()) }

// open returns the application's pool, and a scheduler with a pool of its own on the same database.
func open(t *testing.T) (*sql.DB, *triggerhook.Scheduler) {
	t.Helper()
	server, cache := testserver.Shared(t, testserver.MySQL), testserver.Own(t, testserver.Redis)
	name := server.Database(t)
	pool := func() *sql.DB {
		db, err := sql.Open("mysql", server.DSN(name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	rdb := redis.NewClient(&redis.Options{Addr: cache.Addr})
	t.Cleanup(func() { rdb.Close() })
	store, err := durable.NewMySQL(pool(), durable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := hotset.NewRedis(rdb, hotset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	db := pool()
	if _, err := db.Exec(Table); err != nil {
		t.Fatal(err)
	}
	return db, s
}

var errNoStock = errors.New("nothing in stock")

// With each library the order and its task are there after the commit, and neither is after a rollback.
func TestOrderAndTaskAreOneTransaction(t *testing.T) {
	db, s := open(t)
	mapped, err := gorm.Open(gormmysql.New(gormmysql.Config{Conn: db}), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	prepared := mapped.Session(&gorm.Session{PrepareStmt: true})
	type place func(ctx context.Context, o Order, due time.Time, check Check) error
	for name, place := range map[string]place{
		"sql": func(ctx context.Context, o Order, due time.Time, check Check) error {
			return WithSQL(ctx, db, s, o, due, check)
		},
		"sqlx": func(ctx context.Context, o Order, due time.Time, check Check) error {
			return WithSqlx(ctx, sqlx.NewDb(db, "mysql"), s, o, due, check)
		},
		"gorm": func(ctx context.Context, o Order, due time.Time, check Check) error {
			return WithGORM(ctx, mapped, s, o, due, check)
		},
		"gorm-prepared": func(ctx context.Context, o Order, due time.Time, check Check) error {
			return WithGORM(ctx, prepared, s, o, due, check)
		},
		"ent": func(ctx context.Context, o Order, due time.Time, check Check) error {
			return WithEnt(ctx, entsql.OpenDB(dialect.MySQL, db), s, o, due, check)
		},
		"bun": func(ctx context.Context, o Order, due time.Time, check Check) error {
			return WithBun(ctx, bun.NewDB(db, mysqldialect.New()), s, o, due, check)
		},
	} {
		t.Run(name, func(t *testing.T) {
			due := time.Now().Add(time.Hour)
			done, refused := Order{ID: name + "-done", Cents: 500}, Order{ID: name + "-refused", Cents: 700}
			err := place(t.Context(), done, due, func(context.Context) error { return nil })
			exists(t, db, s, done, err, nil, true)
			err = place(t.Context(), refused, due, func(context.Context) error { return errNoStock })
			exists(t, db, s, refused, err, errNoStock, false)
		})
	}
}

// exists checks how a transaction has ended, and whether it left both, or neither.
func exists(t *testing.T, db *sql.DB, s *triggerhook.Scheduler, o Order, err, wantErr error, want bool) {
	t.Helper()
	if !errors.Is(err, wantErr) {
		t.Fatalf("order %s: %v, want %v", o.ID, err, wantErr)
	}
	var cents int64
	err = db.QueryRow("SELECT cents FROM orders WHERE id = ?", o.ID).Scan(&cents)
	if row := err == nil && cents == o.Cents; row != want || err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("order %s: %d cents, %v; want that it exists: %v", o.ID, cents, err, want)
	}
	_, err = s.Get(t.Context(), "remind/"+o.ID)
	if task := err == nil; task != want || err != nil && !errors.Is(err, triggerhook.ErrNotFound) {
		t.Errorf("task of order %s: %v; want that it exists: %v", o.ID, err, want)
	}
}
