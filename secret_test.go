package triggerhook_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// everything is all that was said to an operator or a caller.
type everything struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (e *everything) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.Write(p)
}

func (e *everything) err(err error) {
	if err != nil {
		_, _ = e.Write([]byte(err.Error() + "\n"))
	}
}

// Whatever fails, no payload, no password and no DSN is in a log line or an error.
func TestSecretsAreInNoLogAndNoError(t *testing.T) {
	t.Run("mysql97+redis7/p1", func(t *testing.T) {
		const password, payload = "hunter2-password", "payload-of-mine"
		my, cache := testserver.Own(t, testserver.MySQL, "--max-allowed-packet=128K"), testserver.Own(t, testserver.Redis)
		var said everything
		logger := slog.New(slog.NewTextHandler(&said, nil))
		name := my.Database(t)
		admin, err := sql.Open("mysql", my.DSN(name))
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		for _, stmt := range []string{"CREATE USER 'app'@'%' IDENTIFIED BY '" + password + "'", "GRANT ALL ON " + name + ".* TO 'app'@'%'"} {
			if _, err := admin.Exec(stmt); err != nil {
				t.Fatal(err)
			}
		}
		with := func(password string) *triggerhook.Scheduler {
			cfg, err := mysql.ParseDSN(my.DSN(name))
			if err != nil {
				t.Fatal(err)
			}
			cfg.User, cfg.Passwd, cfg.InterpolateParams, cfg.AllowNativePasswords = "app", password, true, true
			cfg.Params = map[string]string{"max_execution_time": "5000"}
			db, err := sql.Open("mysql", cfg.FormatDSN())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			store, err := durable.NewMySQL(db, durable.Options{})
			if err != nil {
				t.Fatal(err)
			}
			rdb := redis.NewClient(&redis.Options{Addr: cache.Addr, MaxRetries: -1, DialTimeout: 100 * time.Millisecond})
			t.Cleanup(func() { rdb.Close() })
			set, err := hotset.NewRedis(rdb, hotset.Options{})
			if err != nil {
				t.Fatal(err)
			}
			s, err := triggerhook.New(store, set, triggerhook.Options{Logger: logger, MaxPayload: 48 << 10})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		ctx := t.Context()
		wrong := with(password + "-wrong")
		err = wrong.Run(ctx)
		if !errors.Is(err, triggerhook.ErrRefused) {
			t.Errorf("Run with a wrong password: %v, want ErrRefused", err)
		}
		said.err(err)
		s := with(password)
		if err := s.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		one := func(id string, n int) *triggerhook.Task {
			return &triggerhook.Task{ID: id, Due: time.Now(), Payload: []byte(strings.Repeat(payload, n)),
				Headers: map[string]string{"key": strings.Repeat(payload, min(n, 1000))}}
		}
		said.err(s.Create(ctx, one("a", 1)))
		said.err(s.Create(ctx, one("a", 1)))
		said.err(s.Create(ctx, one("b", 1<<16)))
		running, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() {
			done <- s.Handle(running, 2, func(_ context.Context, d *triggerhook.Delivery) error {
				if d.ID == "panics" {
					panic("no matter")
				}
				return errors.New("handler has its own words")
			})
		}()
		said.err(s.Create(ctx, one("panics", 3)))
		until(t, "the handler has failed", 20*time.Second, func() bool {
			said.mu.Lock()
			defer said.mu.Unlock()
			return strings.Contains(said.text.String(), "panicked") && strings.Contains(said.text.String(), "its own words")
		})
		cache.Kill()
		said.err(s.Create(ctx, one("c", 1)))
		said.err(s.Delete(ctx, "a"))
		_, err = s.Get(ctx, "c")
		said.err(err)
		my.Kill()
		said.err(s.Create(ctx, one("d", 1)))
		said.err(s.Reschedule(ctx, "c", time.Now()))
		sleep(t, time.Second)
		stop()
		said.err(<-done)
		if err := errors.Join(cache.Boot(ctx), my.Boot(ctx)); err != nil { // else what is tried again is so for ever
			t.Fatal(err)
		}
		sleep(t, 3*time.Second)
		said.mu.Lock()
		defer said.mu.Unlock()
		text := said.text.String()
		if n := strings.Count(text, "\n"); n < 12 {
			t.Errorf("only %d lines were said: %s", n, text)
		}
		for _, secret := range []string{password, payload, "app:", "max_execution_time"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q was said: %s", secret, text)
			}
		}
	})
}

// Whatever bytes a caller gives are data to both servers: nothing of them is read as
// SQL or Lua, and they come back as they were.
func TestCallersBytesAreData(t *testing.T) {
	hostile := []string{"'; DROP TABLE x_task; -- ", "`", `\`, `\'`, `"`, `%s%d`, "{x}", "]] redis.call('FLUSHALL')", "a\nb\r", "KEYS[1]", "?", ":ids", "\u00bf\u0027", "🔥"}
	onAll(t, func(t *testing.T, s stores) {
		sch := s.scheduler(t, triggerhook.Options{InlinePayload: 1 << 10})
		run(t, sch)
		want := map[string]string{}
		var all []*triggerhook.Task
		for i, text := range hostile {
			payload := strings.Repeat(text+"\x00\xff", 1+i%2*1000) // short ones go through Redis, long ones do not
			want[text] = payload
			all = append(all, &triggerhook.Task{ID: text, Due: time.Now().Add(time.Hour), Payload: []byte(payload)})
		}
		if err := sch.Create(t.Context(), all...); err != nil {
			t.Fatal(err)
		}
		if err := sch.Create(t.Context(), all...); !errors.Is(err, triggerhook.ErrExists) {
			t.Errorf("Create again: %v, want ErrExists", err)
		}
		for _, id := range hostile {
			if info, err := sch.Get(t.Context(), id); err != nil || info.ID != id || string(info.Payload) != want[id] {
				t.Errorf("Get %q: %q, %v", id, info.ID, err)
			}
			if err := sch.Reschedule(t.Context(), id, time.Now()); err != nil {
				t.Errorf("Reschedule %q: %v", id, err)
			}
		}
		for range hostile {
			d := next(t, sch)
			if text, ok := want[d.ID]; !ok || string(d.Payload) != text {
				t.Errorf("delivered %q with %d bytes, want %d", d.ID, len(d.Payload), len(text))
			}
			delete(want, d.ID)
			if err := d.Confirm(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if err := sch.Delete(t.Context(), hostile...); !errors.Is(err, triggerhook.ErrNotFound) {
			t.Errorf("Delete of what was confirmed: %v, want ErrNotFound", err)
		}
	})
}
