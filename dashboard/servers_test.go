package dashboard_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// onServers is a scheduler on MySQL and Redis.
func onServers(t *testing.T) *triggerhook.Scheduler {
	t.Helper()
	server := testserver.Shared(t, testserver.MySQL)
	c, err := mysql.ParseDSN(server.DSN(server.Database(t)))
	must(t, err)
	c.InterpolateParams = true
	db, err := sql.Open("mysql", c.FormatDSN())
	must(t, err)
	rdb := redis.NewClient(&redis.Options{Addr: testserver.Shared(t, testserver.Redis).Addr})
	t.Cleanup(func() {
		must(t, rdb.Close())
		must(t, db.Close())
	})
	namespace := fmt.Sprintf("dashboard%d", os.Getpid())
	store, err := durable.NewMySQL(db, durable.Options{Namespace: namespace})
	must(t, err)
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: namespace})
	must(t, err)
	s, err := triggerhook.New(store, set, triggerhook.Options{MaxAttempts: 1, Logger: slog.New(slog.DiscardHandler), Worker: "worker-1", History: triggerhook.History{Retention: time.Hour}})
	must(t, err)
	must(t, s.Migrate(t.Context()))
	return s
}

func TestTheDashboardWorksOnMySQLAndRedis(t *testing.T) {
	r := serve(t, onServers(t), operating())
	r.work()
	var tasks []*triggerhook.Task
	for i := range 130 {
		tasks = append(tasks, &triggerhook.Task{ID: fmt.Sprintf("order/%03d", i), Due: time.Now().Add(time.Duration(i/50+1) * time.Hour)})
	}
	r.create(tasks...)
	r.create(&triggerhook.Task{ID: "done/1", Due: time.Now()}, &triggerhook.Task{ID: "fail/1", Due: time.Now()})
	r.dead(1)
	r.until("one is done", func() bool { return !r.lives("done/1") })
	for _, page := range []string{"tasks", "tasks?prefix=order/"} {
		if got := r.all(page); len(got) != 130 || got[0] != "order/000" || got[129] != "order/129" {
			t.Errorf("%s: got %d tasks %v, want order/000 to order/129", page, len(got), got)
		}
	}
	r.get("").want(t, 200, "<strong>130</strong> tasks fall due")
	r.until("the worker has told", func() bool {
		page := r.get("").body
		return strings.Contains(page, `<th scope="row" data-label="Worker">worker-1</th><td data-label="Roles">feeder, reaper, auditor</td>`) &&
			strings.Contains(page, "is the worker <strong>worker-1</strong>") && strings.Contains(page, "/s confirmed")
	})
	r.get("task?id=done/1").want(t, 200, "confirmed", "worker-1")
	r.confirmed("requeue?", "Requeue 1 dead letter?", "to", "5h").want(t, 303)
	r.confirmed("move?prefix=order/", "Reschedule 130 tasks?", "by", "1h").want(t, 303)
	r.confirmed("delete?prefix=order/", "Delete 130 tasks?").want(t, 303)
	if got := r.all("tasks"); len(got) != 1 || got[0] != "fail/1" {
		t.Errorf("got %v, want fail/1 alone", got)
	}
}
