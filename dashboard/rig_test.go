package dashboard_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/dashboard"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Closing(m).Run()) }

// rig is a dashboard, mounted under /ops/, of a scheduler on the embedded pair.
type rig struct {
	*triggerhook.Scheduler
	*httptest.Server
	t *testing.T
}

// embedded is a scheduler on the embedded pair.
func embedded(t *testing.T, o triggerhook.Options) *triggerhook.Scheduler {
	t.Helper()
	store, err := bolt.Open(filepath.Join(t.TempDir(), "tasks.bolt"), bolt.Options{NoFlush: true})
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	set, err := local.New(local.Options{})
	must(t, err)
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := triggerhook.New(store, set, o)
	must(t, err)
	must(t, s.Migrate(t.Context()))
	return s
}

// serve mounts a dashboard of s.
func serve(t *testing.T, s *triggerhook.Scheduler, o dashboard.Options) *rig {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	pages, err := dashboard.New(s, o)
	must(t, err)
	mux := http.NewServeMux()
	mux.Handle("/ops/", http.StripPrefix("/ops", pages))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &rig{s, server, t}
}

// operating lets every request change things.
func operating() dashboard.Options {
	return dashboard.Options{Operate: true, Authorize: func(*http.Request) error { return nil }}
}

func newRig(t *testing.T, o dashboard.Options) *rig {
	t.Helper()
	return serve(t, embedded(t, triggerhook.Options{MaxAttempts: 1, Worker: "worker-1", History: triggerhook.History{Retention: time.Hour}}), o)
}

// work handles tasks in the background until the test ends: those whose ID begins with "fail/" fail, and those with "slow/" wait for the end.
func (r *rig) work() {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- r.Handle(ctx, 4, func(ctx context.Context, d *triggerhook.Delivery) error {
			switch {
			case strings.HasPrefix(d.ID, "slow/"):
				<-ctx.Done()
			case strings.HasPrefix(d.ID, "fail/"):
				return errors.New("out of <i class=marker>paper</i>")
			}
			return nil
		})
	}()
	r.t.Cleanup(func() {
		stop()
		must(r.t, <-ended)
	})
}

// create creates tasks.
func (r *rig) create(tasks ...*triggerhook.Task) {
	r.t.Helper()
	must(r.t, r.Create(r.t.Context(), tasks...))
}

// far creates tasks with those IDs, which are due in hours.
func (r *rig) far(ids ...string) {
	r.t.Helper()
	for i, id := range ids {
		r.create(&triggerhook.Task{ID: id, Due: time.Now().Add(time.Duration(i+1) * time.Hour)})
	}
}

// answer is what came back.
type answer struct {
	status int
	body   string
	header http.Header
}

// get asks for a page.
func (r *rig) get(page string) answer {
	r.t.Helper()
	return r.send("GET", page, nil, nil)
}

// post sends a form as a page of the dashboard does.
func (r *rig) post(page string, form ...string) answer {
	r.t.Helper()
	return r.send("POST", page, map[string]string{"Sec-Fetch-Site": "same-origin"}, form)
}

func (r *rig) send(method, page string, headers map[string]string, form []string) answer {
	r.t.Helper()
	fields := url.Values{}
	for i := 0; i < len(form); i += 2 {
		fields.Set(form[i], form[i+1])
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.URL+"/ops/"+page, strings.NewReader(fields.Encode()))
	must(r.t, err)
	if method == "POST" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	res, err := r.Client().Do(req)
	must(r.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(r.t, err)
	return answer{res.StatusCode, string(body), res.Header}
}

// want ends the test unless the answer has that status and those texts.
func (a answer) want(t *testing.T, status int, texts ...string) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Fatalf("the page lacks %q: %s", text, a.body)
		}
	}
	return a
}

// lives reports whether a task of that ID does.
func (r *rig) lives(id string) bool {
	r.t.Helper()
	_, err := r.Get(r.t.Context(), id)
	if err != nil && !errors.Is(err, triggerhook.ErrNotFound) {
		r.t.Fatal(err)
	}
	return err == nil
}

// dead waits until so many dead letters are there.
func (r *rig) dead(n int) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d dead letters", n), func() bool {
		have := 0
		for _, err := range r.ListDead(r.t.Context(), triggerhook.DeadFilter{}) {
			must(r.t, err)
			have++
		}
		return have == n
	})
}

// until waits until is is true.
func (r *rig) until(what string, is func() bool) {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(15 * time.Second)
	defer end.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-end.C:
			r.t.Fatalf("it does not come: %s", what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
