package api

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/tokens"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/webhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testserver.Closing(m), goleak.IgnoreAnyFunction(testserver.Goroutines))
}

var namespaces atomic.Int64

// world is a server of the API, and a client of it. Each answer is checked against the OpenAPI document.
type world struct {
	*testing.T
	s         *Server
	scheduler *triggerhook.Scheduler
	store     durable.Store
	http      *httptest.Server
	token     string // of the client; none if it is empty
	document  document
	logs      *buffer
}

// buffer is a log that many goroutines write.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(some []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(some)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// pairs are the stores that tests run on.
var pairs = map[string]func(t *testing.T, namespace string) (durable.Store, hotset.Set){"embedded": embedded, "servers": servers}

func embedded(t *testing.T, namespace string) (durable.Store, hotset.Set) {
	store, err := bolt.Open(filepath.Join(t.TempDir(), "tasks.bolt"), bolt.Options{Namespace: namespace})
	must(t, err)
	t.Cleanup(func() { store.Close() })
	set, err := local.New(local.Options{Namespace: namespace})
	must(t, err)
	return store, set
}

func servers(t *testing.T, namespace string) (durable.Store, hotset.Set) {
	server := testserver.Shared(t, testserver.MySQL)
	db, err := sql.Open("mysql", server.DSN(server.Database(t)))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	store, err := durable.NewMySQL(db, durable.Options{Namespace: namespace})
	must(t, err)
	client := redis.NewClient(&redis.Options{Addr: testserver.Shared(t, testserver.Redis).Addr})
	t.Cleanup(func() { client.Close() })
	set, err := hotset.NewRedis(client, hotset.Options{Namespace: namespace})
	must(t, err)
	return store, set
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// each runs a test on each pair of stores.
func each(t *testing.T, test func(w *world)) {
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, set := pair(t, fmt.Sprintf("api%d_%d", os.Getpid(), namespaces.Add(1)))
			test(newWorld(t, store, set, nil))
		})
	}
}

// alone is a world on the embedded pair, with options that change changes.
func alone(t *testing.T, change func(o *Options)) *world {
	t.Parallel()
	store, set := embedded(t, "alone")
	return newWorld(t, store, set, change)
}

func newWorld(t *testing.T, store durable.Store, set hotset.Set, change func(o *Options)) *world {
	t.Helper()
	w := &world{T: t, store: store, logs: &buffer{}}
	log := slog.New(slog.NewTextHandler(w.logs, nil))
	var err error
	w.scheduler, err = triggerhook.New(store, set, triggerhook.Options{Logger: log, MaxAttempts: 1, History: triggerhook.History{Retention: time.Hour}, Drain: 5 * time.Second})
	must(t, err)
	must(t, w.scheduler.Migrate(t.Context()))
	sender, err := webhook.New(webhook.Options{AllowPrivate: true})
	must(t, err)
	t.Cleanup(sender.Close)
	o := Options{Scheduler: w.scheduler, Targets: sender, Logger: log, Version: "v1", Limits: DefaultLimits}
	if change != nil {
		change(&o)
	}
	w.s, err = New(o)
	must(t, err)
	w.http = httptest.NewServer(w.s)
	t.Cleanup(w.http.Close)
	text, err := json.Marshal(w.s.api.OpenAPI())
	must(t, err)
	w.document = newDocument(t, text)
	return w
}

// run handles deliveries until the test ends.
func (w *world) run(h triggerhook.Handler) {
	w.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.scheduler.Handle(ctx, 4, h) }()
	w.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			w.Error(err)
		}
	})
}

// answer is what a request got.
type answer struct {
	*testing.T
	status int
	header http.Header
	body   string
}

// json reads the body.
func (a answer) json() (all map[string]any) {
	a.Helper()
	if err := json.Unmarshal([]byte(a.body), &all); err != nil {
		a.Fatalf("body %q: %v", a.body, err)
	}
	return all
}

// want fails if the answer has another status. A refusal is a problem of that kind.
func (a answer) want(status int, kind string) answer {
	a.Helper()
	if a.status != status {
		a.Fatalf("status %d, want %d; %s", a.status, status, a.body)
	}
	if status < 400 {
		return a
	}
	p := a.json()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.Errorf("Content-Type %q of %s, want a problem", got, a.body)
	}
	if p["type"] != "urn:triggerhook:"+kind || p["status"] != float64(status) || p["detail"] == "" || p["title"] == "" {
		a.Errorf("problem %s, want one of kind %s, with status, title and detail", a.body, kind)
	}
	return a
}

// do sends a request with a body of JSON, or none if it is empty, and header lines "Name: value".
func (w *world) do(method, path, body string, header ...string) answer {
	w.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(w.Context(), method, w.http.URL+path, reader)
	must(w.T, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if w.token != "" {
		r.Header.Set("Authorization", "Bearer "+w.token)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if r.Header.Del(name); value != "" {
			r.Header.Set(name, value)
		}
		if name == "Host" {
			r.Host = value
		}
	}
	resp, err := w.http.Client().Do(r)
	must(w.T, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(w.T, err)
	w.documented(r, resp, text)
	return answer{w.T, resp.StatusCode, resp.Header, string(text)}
}

// documented fails if the OpenAPI document does not describe an answer of an operation.
func (w *world) documented(r *http.Request, resp *http.Response, body []byte) {
	w.Helper()
	if !strings.HasPrefix(r.URL.Path, "/v1/") || resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed {
		return
	}
	w.document.describes(w.T, r, resp, body)
}

// withTokens gives the server a file of tokens, each named after its scopes ("read,write"), and returns them.
func withTokens(t *testing.T, o *Options, scopes ...string) (all map[string]string) {
	t.Helper()
	all = map[string]string{}
	var lines []string
	for _, s := range scopes {
		token, line, err := tokens.New(strings.ReplaceAll(s, ",", "+"), strings.Split(s, ","))
		must(t, err)
		all[s], lines = token, append(lines, line)
	}
	path := filepath.Join(t.TempDir(), "tokens")
	must(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600))
	file, err := tokens.Open(path, o.Logger)
	must(t, err)
	o.Tokens = file
	return all
}

// until polls until ok answers true.
func (w *world) until(what string, ok func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("not so after 20 s: %s; log:\n%s", what, w.logs)
		}
	}
}
