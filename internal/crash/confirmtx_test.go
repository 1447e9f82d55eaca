package main

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
)

// A handler writes its effect in the transaction that confirms its task. Eight workers in four processes, each of which is
// killed again and again, with deliveries that outlive DeliveryTimeout and leases that end with their process; some
// transactions are rolled back, some handlers fail after the commit. Each effect happens exactly once.
func TestAnEffectInTheTransactionOfItsConfirmHappensOnce(t *testing.T) {
	staged(t, "no point", 2, func(c *cell) {
		const tasks = 200
		c.place.DeliveryTimeout = 300 * time.Millisecond
		if _, err := c.db.ExecContext(c.Context(), "CREATE TABLE effect (id VARBINARY(128) PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB"); err != nil {
			c.Fatal(err)
		}
		for i := range tasks {
			if err := c.sch.Create(c.Context(), &triggerhook.Task{Due: time.Now().Add(time.Duration(i) * 10 * time.Millisecond)}); err != nil {
				c.Fatal(err)
			}
		}
		effects := order{Work: &work{Workers: 2, Then: "effect"}}
		var workers []*victim
		for range 4 {
			workers = append(workers, c.start(effects))
		}
		for range 8 {
			<-time.After(300 * time.Millisecond)
			i := rand.IntN(len(workers))
			workers[i].process.Signal(os.Kill)
			<-workers[i].process.Ended()
			workers[i] = c.start(effects)
		}
		c.until("all tasks are done", func() bool {
			n, _, err := c.store.Count(c.Context(), 10_000)
			return err == nil && n == 0
		})
		for _, w := range workers {
			w.process.Signal(os.Kill)
			<-w.process.Ended()
		}
		var all, wrong int
		if err := c.db.QueryRowContext(c.Context(), "SELECT COUNT(*), COALESCE(SUM(n <> 1), 0) FROM effect").Scan(&all, &wrong); err != nil {
			c.Fatal(err)
		}
		if all != tasks || wrong != 0 {
			c.Errorf("%d of %d tasks have had an effect, and %d of these not exactly one", all, tasks, wrong)
		}
	})
}
