// Command rolling is one process of a rolling deploy: it migrates, creates tasks, and works until its standard input
// ends. Its test builds it from this source, and once more as the next version of the library will be, whose schema has
// one migration more, and runs both side by side.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
)

// orderEnv is the variable that holds the order.
const orderEnv = "TRIGGERHOOK_ROLLING_ORDER"

// migrated is what the process says when its Migrate has returned nil. After that each line is the ID of a delivery,
// except one: the prefix and works, when the first task was delivered to this process itself.
const (
	migrated = "migrated"
	works    = "works"
)

// order is what the process is told to do.
type order struct {
	DSN, Redis, Namespace string
	Prefix                string // of the IDs of its tasks
	Tasks                 int    // to create, due at once
}

func main() {
	if err := obey(os.Getenv(orderEnv)); err != nil {
		fmt.Fprintln(os.Stderr, "rolling:", err)
		os.Exit(1)
	}
}

func obey(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return fmt.Errorf("read %s: %w", orderEnv, err)
	}
	db, err := sql.Open("mysql", o.DSN)
	if err != nil {
		return err
	}
	rdb := redis.NewClient(&redis.Options{Addr: o.Redis})
	err = o.work(db, rdb)
	return errors.Join(err, rdb.Close(), db.Close())
}

func (o order) work(db *sql.DB, rdb *redis.Client) error {
	store, err := durable.NewMySQL(db, durable.Options{Namespace: o.Namespace})
	if err != nil {
		return err
	}
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: o.Namespace})
	if err != nil {
		return err
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{Lease: 2 * time.Second})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if err := s.Migrate(ctx); err != nil {
		return err
	}
	fmt.Println(migrated)
	for i := range o.Tasks {
		if err := o.create(ctx, s, fmt.Sprint(o.Prefix, i)); err != nil {
			return err
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is the sign to stop
		stop()
	}()
	mine := make(chan struct{}) // closed by the first delivery
	var first sync.Once
	var more sync.WaitGroup
	more.Go(func() { o.createMore(ctx, s, mine) })
	defer more.Wait()
	return s.Handle(ctx, 2, func(_ context.Context, d *triggerhook.Delivery) error {
		first.Do(func() {
			close(mine)
			fmt.Println(o.Prefix + works)
		})
		fmt.Println(d.ID) // unbuffered: the test reads it while this process lives
		return nil
	})
}

func (o order) create(ctx context.Context, s *triggerhook.Scheduler, id string) error {
	return s.Create(ctx, &triggerhook.Task{ID: id, Due: time.Now(), Headers: map[string]string{"by": o.Prefix}})
}

// createMore creates tasks until this process has had one, which the others may be faster to take.
func (o order) createMore(ctx context.Context, s *triggerhook.Scheduler, mine <-chan struct{}) {
	every := time.NewTicker(20 * time.Millisecond)
	defer every.Stop()
	for i := 0; ; i++ {
		select {
		case <-mine:
			return
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if err := o.create(ctx, s, fmt.Sprint(o.Prefix, "more-", i)); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "rolling:", err)
		}
	}
}
