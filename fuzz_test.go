package triggerhook_test

import (
	"bytes"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// Options are in their ranges, or refused as ErrInvalid; zero is the default.
func FuzzOptions(f *testing.F) {
	store, set := fuzzPair(f)
	f.Fuzz(func(t *testing.T, window, lease, drain, timeout, grace int64, hot, inline, payload, queue int) {
		in := func(v, low, high int64) bool { return v == 0 || low <= v && v <= high }
		const second = int64(time.Second)
		legal := in(window, second, 86400*second) && in(lease, second, 600*second) && in(drain, 0, 1<<62) && in(timeout, 0, 1<<62) &&
			in(grace, 0, 86400*second) && in(int64(hot), 1, 1<<40) && in(int64(inline), 0, 1<<24-1) &&
			in(int64(payload), 0, 1<<24-1) && in(int64(queue), 1, 1_000_000)
		s, err := triggerhook.New(store, set, triggerhook.Options{Window: time.Duration(window), Lease: time.Duration(lease),
			Drain: time.Duration(drain), DeliveryTimeout: time.Duration(timeout), AuditGrace: time.Duration(grace), HotTasks: hot,
			InlinePayload: inline, MaxPayload: payload, Queue: queue, Logger: quiet})
		if legal != (err == nil) || legal == (s == nil) || err != nil && !errors.Is(err, triggerhook.ErrInvalid) {
			t.Errorf("New: %v, legal: %t", err, legal)
		}
	})
}

// The four stores take a namespace and partitions that are legal, and no others.
func FuzzStoreOptions(f *testing.F) {
	db, err := sql.Open("mysql", "root@tcp(127.0.0.1:1)/") // nothing is asked of it
	if err != nil {
		f.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	f.Cleanup(func() { rdb.Close(); db.Close() })
	path := filepath.Join(f.TempDir(), "tasks")
	legalName := regexp.MustCompile(`\A([a-z][a-z0-9_]{0,31})?\z`)
	f.Fuzz(func(t *testing.T, ns string, partitions int) {
		name, parts := legalName.MatchString(ns), partitions >= 0 && partitions <= 256
		check := func(what string, legal, made bool, err error) {
			if legal != (err == nil) || legal != made || err != nil && !errors.Is(err, triggerhook.ErrInvalid) {
				t.Errorf("%s in namespace %q with %d partitions: %v, legal: %t", what, ns, partitions, err, legal)
			}
		}
		m, err := durable.NewMySQL(db, durable.Options{Namespace: ns})
		check("MySQL", name, m != nil, err)
		r, err := hotset.NewRedis(rdb, hotset.Options{Namespace: ns, Partitions: partitions})
		check("Redis", name && parts, r != nil, err)
		l, err := local.New(local.Options{Namespace: ns, Partitions: partitions})
		check("local", name && parts, l != nil, err)
		b, err := bolt.Open(path, bolt.Options{Namespace: ns})
		check("bolt", name, b != nil, err)
		if b != nil {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func fuzzPair(f *testing.F) (durable.Store, hotset.Set) {
	store, err := bolt.Open(filepath.Join(f.TempDir(), "tasks"), bolt.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { store.Close() })
	set, err := local.New(local.Options{})
	if err != nil {
		f.Fatal(err)
	}
	return store, set
}

// What was created comes back as it was, byte for byte; what breaks a rule is
// ErrInvalid, and nothing is stored.
func FuzzCreate(f *testing.F) {
	store, set := fuzzPair(f)
	s, err := triggerhook.New(store, set, triggerhook.Options{Logger: quiet, MaxPayload: 1000})
	if err == nil {
		err = s.Migrate(f.Context())
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id string, payload []byte, sec, nsec int64) {
		due := time.Unix(sec, nsec)
		task := &triggerhook.Task{ID: id, Due: due, Payload: bytes.Clone(payload)}
		solid := id == "" || strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsSpace(r) })
		legal := len(id) <= 128 && solid && strings.ToValidUTF8(id, "") == id && !strings.ContainsRune(id, 0) && len(payload) <= 1000 &&
			!due.Before(time.Unix(0, 0)) && !due.After(time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC))
		if err := s.Create(t.Context(), task); legal != (err == nil) || err != nil && !errors.Is(err, triggerhook.ErrInvalid) {
			t.Fatalf("Create of %q due %s with %d bytes: %v, legal: %t", id, due, len(payload), err, legal)
		}
		if n, _, err := store.Count(t.Context(), 10); err != nil || (n == 1) != legal {
			t.Fatalf("%d rows stand, %v, legal: %t", n, err, legal)
		}
		if !legal {
			return
		}
		info, err := s.Get(t.Context(), task.ID)
		late := info.Due.Sub(due)
		if err != nil || id != "" && info.ID != id || late < 0 || late >= time.Millisecond || info.Due.Nanosecond()%1e6 != 0 ||
			!bytes.Equal(info.Payload, payload) || len(payload) == 0 && info.Payload != nil {
			t.Errorf("%q due %s with %q came back as %+v, %v", id, due, payload, info, err)
		}
		if err := s.Delete(t.Context(), task.ID); err != nil {
			t.Errorf("Delete: %v", err)
		}
	})
}
