package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

// logLines is what a command writes to standard error.
type logLines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logLines) Write(some []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(some)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// receiver is a server that gets webhooks.
type receiver struct {
	*httptest.Server
	bodies chan string
}

// receive starts a receiver that answers each webhook once answer allows it; at once, if that is nil.
func receive(t *testing.T, answer <-chan bool) *receiver {
	r := &receiver{bodies: make(chan string, 100)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.bodies <- string(body)
		if answer != nil {
			select {
			case <-answer:
			case <-req.Context().Done():
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// next is the next webhook.
func (r *receiver) next(t *testing.T) string {
	t.Helper()
	select {
	case body := <-r.bodies:
		return body
	case <-time.After(20 * time.Second):
		t.Fatal("no webhook came within 20 s")
		return ""
	}
}

// served is a process of serve.
type served struct {
	*exec.Cmd
	*testing.T
	logs *logLines
	url  string // of its API
	done chan error
}

// startServe starts serve on a free port.
func startServe(t *testing.T, env []string, args ...string) *served {
	t.Helper()
	s := &served{T: t, logs: &logLines{}, done: make(chan error, 1)}
	s.Cmd = exec.Command("triggerhook", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	s.Dir, s.Stderr = t.TempDir(), s.logs
	s.Env = append(os.Environ(), env...)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- s.Wait() }()
	t.Cleanup(func() { s.Process.Kill() })
	s.url = "http://" + address(t, s.logs, "listening")
	return s
}

var listening = regexp.MustCompile(`msg="?(listening[a-z ]*)"? address=(\S+)`)

// address waits until the log tells an address.
func address(t *testing.T, logs *logLines, what string) string {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, m := range listening.FindAllStringSubmatch(logs.String(), -1) {
			if m[1] == what {
				return m[2]
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it does not listen:\n%s", logs)
		}
	}
}

// ended waits for the end of the process, and returns how it ended.
func (s *served) ended() error {
	s.Helper()
	select {
	case err := <-s.done:
		return err
	case <-time.After(30 * time.Second):
		s.Fatalf("it does not end:\n%s", s.logs)
		return nil
	}
}

func (s *served) signal() {
	s.Helper()
	if err := s.Process.Signal(syscall.SIGTERM); err != nil {
		s.Fatal(err)
	}
}

// request sends a request, and returns status and body.
func request(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// SIGTERM: not ready at once, then what is under way is finished, and the exit code is 0. The tasks are there after a start.
func TestServeEndsGracefully(t *testing.T) {
	for name, env := range servePairs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := make(chan bool)
			r := receive(t, answer)
			s := startServe(t, env, "--webhook-allow-private", "--drain-delay", "500ms", "--migrate")
			for _, task := range []string{`{"id":"now","in":"0s","payload":"now","url":%q}`, `{"id":"later","in":"1h","url":%q}`} {
				if status, body := request(t, "POST", s.url+"/v1/tasks", fmt.Sprintf(task, r.URL)); status != 201 {
					t.Fatal(status, body)
				}
			}
			if got := r.next(t); got != "now" {
				t.Errorf("the webhook has %q", got)
			}
			s.signal()
			poll(t, "not ready", func() bool { status, _ := request(t, "GET", s.url+"/readyz", ""); return status == 503 })
			if status, body := request(t, "GET", s.url+"/v1/tasks", ""); status != 200 || !strings.Contains(body, `"later"`) {
				t.Errorf("while it drains: %d %s", status, body)
			}
			poll(t, "it listens no more", func() bool {
				conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
				if err == nil {
					conn.Close()
				}
				return err != nil
			})
			answer <- true
			if err := s.ended(); err != nil {
				t.Errorf("ended with %v, want exit code 0:\n%s", err, s.logs)
			}
			ids := exec.Command("triggerhook", "list", "--json")
			ids.Dir, ids.Env = s.Dir, s.Env
			if out, err := ids.Output(); err != nil || strings.Count(string(out), `"id"`) != 1 || !strings.Contains(string(out), `"id":"later"`) {
				t.Errorf("afterwards there is %s, want the task later: %v", out, err)
			}
		})
	}
}

// servePairs are the stores of serve, as variables of the environment.
func servePairs(t *testing.T) map[string][]string {
	namespace := fmt.Sprintf("serve%d", os.Getpid())
	return map[string][]string{
		"embedded": {"TRIGGERHOOK_STORE=bolt:tasks.bolt", "TRIGGERHOOK_WEBHOOK_TIMEOUT=20s"},
		"servers":  {"TRIGGERHOOK_STORE=" + mysqlURL(t), "TRIGGERHOOK_HOT=redis://" + testserver.Shared(t, testserver.Redis).Addr, "TRIGGERHOOK_NAMESPACE=" + namespace},
	}
}

// poll waits until ok answers true.
func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not so after 20 s: %s", what)
		}
	}
}

// A second signal ends it at once, though a webhook is under way.
func TestServeEndsAtOnceBySecondSignal(t *testing.T) {
	answer := make(chan bool)
	r := receive(t, answer)
	t.Cleanup(func() { close(answer) })
	s := startServe(t, nil, "--webhook-allow-private")
	if status, body := request(t, "POST", s.url+"/v1/tasks", fmt.Sprintf(`{"in":"0s","url":%q}`, r.URL)); status != 201 {
		t.Fatal(status, body)
	}
	r.next(t)
	s.signal()
	poll(t, "it drains", func() bool { return strings.Contains(s.logs.String(), "draining") })
	s.signal()
	if err := s.ended(); err == nil || !strings.Contains(err.Error(), "130") {
		t.Errorf("ended with %v, want exit code 130", err)
	}
}

// In one process it leaves no goroutine behind, with TLS and a listener of its own for metrics.
func TestServeLeavesNothingBehind(t *testing.T) {
	dir, authority, logs := t.TempDir(), testserver.NewAuthority(t), &logLines{}
	before := goleak.IgnoreCurrent()
	ctx, stop := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, []string{"serve", "--store", "bolt:" + filepath.Join(dir, "a"), "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
			"--tls-cert", authority.Cert, "--tls-key", authority.Key}, nil, io.Discard, logs)
	}()
	secure := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool}}
	client := &http.Client{Transport: secure}
	get := func(url string) string {
		t.Helper()
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Status + " " + string(text)
	}
	api := "https://" + address(t, logs, "listening")
	if got := get(api + "/readyz"); got != "200 OK ok\n" {
		t.Errorf("/readyz: %s", got)
	}
	if got := get(api + "/metrics"); !strings.HasPrefix(got, "404") {
		t.Errorf("/metrics beside --metrics-listen: %.100s", got)
	}
	figures := get("http://" + address(t, logs, "listening for metrics") + "/metrics")
	for _, name := range []string{"triggerhook_namespace_tasks{", "triggerhook_http_requests_total{", "triggerhook_webhook_", "go_goroutines"} {
		if !strings.Contains(figures, name) {
			t.Errorf("the metrics lack %s", name)
		}
	}
	stop()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d, want 0:\n%s", got, logs)
	}
	secure.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// Wrong usage is told before anything is opened, with the value and the rule.
func TestServeRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		says string
	}{
		{"--listen 0.0.0.0:0", "without --tokens only a loopback address"},
		{"--listen :0", "without --tokens only a loopback address"},
		{"--listen nonsense", "nonsense"},
		{"--listen " + taken.Addr().String(), taken.Addr().String()},
		{"--listen 127.0.0.1:0 --metrics-listen " + taken.Addr().String(), "--metrics-listen"},
		{"--tokens " + bad, "line 1"},
		{"--tokens " + bad + "x", "no such file"},
		{"--tls-cert a", "--tls-key"},
		{"--tls-cert " + bad + " --tls-key " + bad, "--tls-cert, --tls-key: " + bad},
		{"--tls-cert " + bad + "x --tls-key " + bad, "no such file"},
		{"--webhook-secret-file " + bad, "line 1"},
		{"--webhook-allow-net 10.0.0.0/40", "10.0.0.0/40"},
		{"--webhook-port 70000", "70000"},
		{"--webhook-format yaml", "yaml"},
		{"--concurrency 0", "--concurrency 0"},
		{"--max-attempts -1", "-1"},
		{"--max-body 0", "Body 0"},
		{"--drain -1s", "-1s"},
		{"now", "argument"},
		{"--hot nonsense", "nonsense"},
	} {
		var errs bytes.Buffer
		args := append([]string{"serve", "--store", "bolt:" + filepath.Join(dir, "tasks")}, strings.Fields(c.args)...)
		if code := execute(t.Context(), args, nil, io.Discard, &errs); code != exitUsage || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%s: exit code %d, want 2, and %q in\n%s", c.args, code, c.says, &errs)
		}
	}
	t.Setenv("TRIGGERHOOK_MAX_BATCH", "many")
	var errs bytes.Buffer
	if code := execute(t.Context(), []string{"serve"}, nil, io.Discard, &errs); code != exitUsage || !strings.Contains(errs.String(), "TRIGGERHOOK_MAX_BATCH") {
		t.Errorf("a bad variable: exit code %d, %s", code, &errs)
	}
}

// On a MySQL without tables it ends, and tells what makes them.
func TestServeWithoutTables(t *testing.T) {
	var errs bytes.Buffer
	args := []string{"serve", "--listen", "127.0.0.1:0", "--store", mysqlURL(t), "--hot", "redis://" + testserver.Shared(t, testserver.Redis).Addr}
	if code := execute(t.Context(), args, nil, io.Discard, &errs); code != exitRefused || !strings.Contains(errs.String(), "triggerhook migrate") {
		t.Errorf("exit code %d, want 7 and a hint:\n%s", code, &errs)
	}
}
