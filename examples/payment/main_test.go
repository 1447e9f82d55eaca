package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

func TestMain(m *testing.M) { os.Exit(testserver.Closing(m).Run()) }

// client calls the service.
type client struct {
	*testing.T
	url string
}

// call returns the status and the body that one request is answered with.
func (c *client) call(method, path string) (int, string) {
	c.Helper()
	request, err := http.NewRequestWithContext(c.Context(), method, c.url+path, nil)
	if err != nil {
		c.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		c.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		c.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// want calls, and compares the status.
func (c *client) want(status int, method, path string) {
	c.Helper()
	if got, body := c.call(method, path); got != status {
		c.Errorf("%s %s is answered with %d %q, want %d", method, path, got, body, status)
	}
}

// await waits until an order is in that state.
func (c *client) await(id, state string) {
	c.Helper()
	deadline := time.Now().Add(time.Minute)
	for got := ""; got != state; _, got = c.call("GET", "/order?id="+id) {
		if time.Now().After(deadline) {
			c.Fatalf("order %s is %q, want %q", id, got, state)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// The service cancels what is neither paid nor given more time, and nothing else; it ends in
// good order.
func TestWhatIsNotPaidIsCancelled(t *testing.T) {
	mysql, redis := testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	ns := fmt.Sprintf("pay%x", time.Now().UnixNano())
	go func() { ended <- serve(ctx, mysql.DSN(mysql.Database(t)), redis.Addr, ns, l) }()
	c := &client{t, "http://" + l.Addr().String()}
	for _, id := range []string{"paid", "more"} {
		c.want(200, "POST", "/order?minutes=60&id="+id)
	}
	c.want(200, "POST", "/order?minutes=60&id=paid") // asked again: still one order, one task
	c.want(200, "POST", "/pay?id=paid")
	c.want(200, "POST", "/extend?minutes=120&id=more")
	c.want(200, "POST", "/extend?minutes=0.001&id=more") // and now less
	c.want(200, "POST", "/order?minutes=0.001&id=late")
	c.await("late", "cancelled")
	c.await("more", "cancelled")
	c.await("paid", "paid")
	c.want(409, "POST", "/pay?id=late")
	c.want(409, "POST", "/extend?minutes=5&id=paid")
	c.want(404, "GET", "/order?id=none")
	c.want(409, "POST", "/pay?id=none")
	for _, bad := range []string{"/order?id=x", "/order?id=x&minutes=soon", "/order?id=x&minutes=-1", "/order?id=x&minutes=NaN", "/order?minutes=5",
		"/extend?id=x&minutes=99999999999", "/pay", "/pay?id=" + strings.Repeat("x", 65)} {
		c.want(400, "POST", bad)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("serve ended with %v", err)
	}
	if err := serve(t.Context(), "no dsn", redis.Addr, ns, l); err == nil {
		t.Error("serve takes what is no DSN")
	}
}

// The handler may be called for an order that is paid by now, or that has more time: it changes
// nothing then. It cancels an open one whose time is over, once.
func TestTheHandlerLooksAtTheOrderAgain(t *testing.T) {
	sh := &shop{db: testserver.Shared(t, testserver.MySQL).DB(t, "clientFoundRows=true")}
	if err := sh.migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	past, future := time.Now().Add(-time.Minute).UnixMilli(), time.Now().Add(time.Hour).UnixMilli()
	for id, order := range map[string]struct {
		state    string
		deadline int64
		want     string
	}{"paid": {"paid", past, "paid"}, "more": {"open", future, "open"}, "late": {"open", past, "cancelled"}} {
		if _, err := sh.db.ExecContext(t.Context(), "INSERT INTO shop_order VALUES (?, ?, ?)", id, order.state, order.deadline); err != nil {
			t.Fatal(err)
		}
		for range 2 { // a task is delivered at least once
			d := &triggerhook.Delivery{Task: triggerhook.Task{ID: "cancel-" + id, Payload: []byte(id)}}
			if err := sh.cancel(t.Context(), d); triggerhook.Snoozed(err) != (id == "more") || err != nil && !triggerhook.Snoozed(err) {
				t.Errorf("the handler of %s: %v, want a Snooze of the order that has more time, and otherwise nil", id, err)
			}
		}
		var got string
		if err := sh.db.QueryRowContext(t.Context(), "SELECT state FROM shop_order WHERE id = ?", id).Scan(&got); err != nil || got != order.want {
			t.Errorf("order %s is %q after its handler, %v; want %q", id, got, err, order.want)
		}
	}
}

// The handler may come before place has stored the order: its time was short, or the process
// that places it was slow, or died. The order is cancelled then, and is never open.
func TestAnOrderWhoseHandlerComesFirstIsCancelled(t *testing.T) {
	store, err := bolt.Open(filepath.Join(t.TempDir(), "tasks.bolt"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	set, err := local.New(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sh := &shop{testserver.Shared(t, testserver.MySQL).DB(t, "clientFoundRows=true"), s}
	if err := errors.Join(s.Migrate(t.Context()), sh.migrate(t.Context())); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := sh.cancel(t.Context(), &triggerhook.Delivery{Task: triggerhook.Task{Payload: []byte("slow")}}); err != nil {
			t.Errorf("the handler of an order that is not stored yet: %v", err)
		}
	}
	if err := sh.place(t.Context(), "slow", time.Now().Add(time.Hour)); !errors.Is(err, errNotOpen) {
		t.Errorf("place answers %v after the handler, want %v", err, errNotOpen)
	}
	for range 2 { // asked again, it is still placed
		if err := sh.place(t.Context(), "fast", time.Now().Add(time.Hour)); err != nil {
			t.Errorf("place answers %v", err)
		}
	}
}

// Whichever comes first, the handler or the order's row: the order is cancelled in the end, by this
// delivery or by the next one, because the handler that finds the order stored meanwhile fails.
func TestAnOrderThatIsStoredBesideItsHandlerIsCancelled(t *testing.T) {
	sh := &shop{db: testserver.Shared(t, testserver.MySQL).DB(t, "clientFoundRows=true")}
	if err := sh.migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	sh.db.SetMaxIdleConns(8)
	past, met := time.Now().Add(-time.Minute).UnixMilli(), 0
	for i := 0; i < 5000 && met < 3; i++ {
		id := fmt.Sprint(i)
		delivery := func() *triggerhook.Delivery {
			return &triggerhook.Delivery{Task: triggerhook.Task{ID: "cancel-" + id, Payload: []byte(id)}}
		}
		d := delivery()
		var all sync.WaitGroup
		all.Go(func() {
			<-time.After(time.Duration(rand.Int64N(int64(time.Millisecond))))
			_, err := sh.db.ExecContext(t.Context(), "INSERT IGNORE INTO shop_order VALUES (?, 'open', ?)", id, past)
			if err != nil {
				t.Error(err)
			}
		})
		err := sh.cancel(t.Context(), d)
		all.Wait()
		failed := errors.Is(err, errNotOpen)
		if failed {
			met++
		}
		if failed || triggerhook.Snoozed(err) { // so it is delivered again
			err = sh.cancel(t.Context(), delivery())
		}
		var state string
		if err := errors.Join(err, sh.db.QueryRowContext(t.Context(), "SELECT state FROM shop_order WHERE id = ?", id).Scan(&state)); err != nil || state != "cancelled" {
			t.Fatalf("order %s is %q after its handler, %v; want it cancelled", id, state, err)
		}
	}
	if met == 0 {
		t.Error("the order was never stored between the handler's look and its INSERT")
	}
}
