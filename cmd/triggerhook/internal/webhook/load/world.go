package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/webhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
)

const module = "github.com/triggerhook/triggerhook/cmd/triggerhook"

// world is what one measurement needs: a database, a folder, the receiver and the servers.
type world struct {
	dir       string
	namespace string
	dsn       *mysql.Config // of the database
	admin     *sql.DB
	receiver  *receiver
	servers   []*server
}

// server is one process of triggerhook serve.
type server struct {
	cmd     *exec.Cmd
	address string
	ended   chan struct{}
}

// newWorld brings all of it up, and waits until each server is ready.
func newWorld(ctx context.Context, s settings) (w *world, err error) {
	w = &world{namespace: fmt.Sprintf("load%d", os.Getpid())}
	defer func() {
		if err != nil {
			w.close(s.keep)
		}
	}()
	if w.dir, err = os.MkdirTemp("", "triggerhook-load-"); err != nil {
		return w, err
	}
	if err := w.database(ctx, s.mysql); err != nil {
		return w, err
	}
	b := make([]byte, 32)
	rand.Read(b)
	secret := "whsec_" + base64.StdEncoding.EncodeToString(b)
	if err := os.WriteFile(w.file("secrets"), []byte(secret+"\n"), 0o600); err != nil {
		return w, err
	}
	if w.receiver, err = newReceiver(secret, s.answer); err != nil {
		return w, err
	}
	if s.serve == "" {
		s.serve = w.file("triggerhook")
		build := exec.CommandContext(ctx, "go", "build", "-o", s.serve, module)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return w, fmt.Errorf("build %s: %w", module, err)
		}
	}
	for range s.replicas {
		if err := w.start(ctx, s); err != nil {
			return w, err
		}
	}
	return w, nil
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

// database creates a database of this measurement's own.
func (w *world) database(ctx context.Context, dsn string) (err error) {
	if w.dsn, err = mysql.ParseDSN(dsn); err != nil {
		return err
	}
	if w.admin, err = sql.Open("mysql", w.dsn.FormatDSN()); err != nil {
		return err
	}
	w.dsn.DBName, w.dsn.InterpolateParams = "triggerhook_"+w.namespace, true
	_, err = w.admin.ExecContext(ctx, "CREATE DATABASE "+w.dsn.DBName)
	return err
}

// start starts a server, and waits until it is ready.
func (w *world) start(ctx context.Context, s settings) error {
	l, err := net.Listen("tcp", "127.0.0.1:0") // a free port
	if err != nil {
		return err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	store := url.URL{Scheme: "mysql", Host: w.dsn.Addr, Path: "/" + w.dsn.DBName, User: url.User(w.dsn.User)}
	if w.dsn.Passwd != "" {
		store.User = url.UserPassword(w.dsn.User, w.dsn.Passwd)
	}
	if w.dsn.Net == "unix" {
		store.Host, store.RawQuery = "localhost", url.Values{"socket": {w.dsn.Addr}}.Encode()
	}
	log, err := os.Create(w.file("server-" + strconv.Itoa(len(w.servers)+1) + ".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, s.serve, "serve", "--migrate", "--store", store.String(), "--hot", "redis://"+s.redis, "--namespace", w.namespace,
		"--listen", address, "--webhook-secret-file", w.file("secrets"), "--webhook-allow-private",
		"--concurrency", strconv.Itoa(s.concurrency), "--webhook-per-host", strconv.Itoa(s.perHost))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	one := &server{cmd, address, make(chan struct{})}
	go func() {
		_ = cmd.Wait() // its log says how it ended
		close(one.ended)
	}()
	w.servers = append(w.servers, one)
	return w.ready(ctx, one, log.Name())
}

// ready waits until a server answers that it is ready.
func (w *world) ready(ctx context.Context, one *server, log string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(30 * time.Second)
	defer end.Stop()
	for {
		if r, err := http.Get("http://" + one.address + "/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
			return ctx.Err()
		case <-one.ended:
		case <-end.C:
		}
		text, err := os.ReadFile(log)
		return errors.Join(fmt.Errorf("a server does not become ready:\n%s", text), err)
	}
}

// create creates the tasks, evenly due from start on.
func (w *world) create(ctx context.Context, s settings, start time.Time) error {
	db, err := sql.Open("mysql", w.dsn.FormatDSN())
	if err != nil {
		return err
	}
	defer db.Close()
	rdb := redis.NewClient(&redis.Options{Addr: s.redis})
	defer rdb.Close()
	store, err := durable.NewMySQL(db, durable.Options{Namespace: w.namespace})
	if err != nil {
		return err
	}
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: w.namespace})
	if err != nil {
		return err
	}
	scheduler, err := triggerhook.New(store, set, triggerhook.Options{})
	if err != nil {
		return err
	}
	for from := 0; from < s.tasks(); from += 1000 {
		var page []*triggerhook.Task
		for i := from; i < min(from+1000, s.tasks()); i++ {
			page = append(page, &triggerhook.Task{ID: "task-" + strconv.Itoa(i), Due: start.Add(time.Duration(i) * time.Second / time.Duration(s.rate)),
				Payload: fmt.Appendf(nil, `{"order":%d}`, i), Headers: map[string]string{webhook.HeaderURL: w.receiver.url, webhook.HeaderContentType: "application/json"}})
		}
		if err := scheduler.Create(ctx, page...); err != nil {
			return err
		}
	}
	return scheduler.Flush(ctx)
}

// stop ends the servers, and waits until they have ended.
func (w *world) stop() {
	for _, s := range w.servers {
		_ = s.cmd.Process.Signal(os.Interrupt) // it may have been killed before
	}
	for _, s := range w.servers {
		<-s.ended
	}
}

// processors prints how much processor time the servers took, which depends less on what else the machine does than a lateness.
func (w *world) processors(webhooks int) {
	var all time.Duration
	for _, s := range w.servers {
		all += s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime()
	}
	fmt.Printf("processor time of the servers: %.2f s, %.3f ms a webhook\n", all.Seconds(), all.Seconds()*1000/float64(webhooks))
}

// close ends the servers and the receiver, and drops the database. The keys in Redis stay: those of a namespace without tasks are few.
func (w *world) close(keep bool) {
	w.stop()
	if w.receiver != nil {
		w.receiver.close()
	}
	if w.admin != nil {
		if _, err := w.admin.Exec("DROP DATABASE IF EXISTS " + w.dsn.DBName); err != nil {
			fmt.Fprintln(os.Stderr, "load: drop the database:", err)
		}
		w.admin.Close()
	}
	if keep {
		fmt.Println("the logs of the servers are in", w.dir)
	} else if w.dir != "" {
		if err := os.RemoveAll(w.dir); err != nil {
			fmt.Fprintln(os.Stderr, "load:", err)
		}
	}
}
