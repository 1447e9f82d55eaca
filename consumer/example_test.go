package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

// opened returns a Consumer as the Scheduler makes it, on an embedded pair with one task that is
// due, and a function that closes and removes all.
func opened(id string) (c *consumer.Consumer, end func()) {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	store, err := bolt.Open(filepath.Join(dir, "tasks"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	set, err := local.New(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx, ref := context.Background(), task.Ref{ID: id, Ver: task.NewVer()}
	begun, err := set.Horizon(ctx, 0, task.HorizonRequest{Epoch: 1, HorizonMS: task.MaxDue, Limit: 1000})
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(store.Migrate(ctx, 1), store.Create(ctx, []task.Row{{Ref: ref}})); err != nil { // RowFirst
		log.Fatal(err)
	}
	if _, err := set.Add(ctx, 0, task.AddRequest{AsOf: begun.AsOf, Entries: []task.Entry{{Ref: ref}}}); err != nil {
		log.Fatal(err)
	}
	c = consumer.New(set, store, consumer.Options{Partitions: 1, Queue: 10, Lease: 15 * time.Second, Drain: 30 * time.Second,
		DeliveryTimeout: 10 * time.Minute, Later: func(task.Row) {}, Report: &report.Reporter{}})
	return c, func() {
		if err := errors.Join(store.Close(), os.RemoveAll(dir)); err != nil {
			log.Fatal(err)
		}
	}
}

// A Consumer does no I/O until Run.
func ExampleNew() {
	c, end := opened("a")
	defer end()
	fmt.Println(c.Figures().Delivered, "deliveries before Run")
	// Output: 0 deliveries before Run
}

// Run ends when its context does, once what is in hand was answered.
func ExampleConsumer_Run() {
	c, end := opened("a")
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	d, err := c.Consume(ctx)
	if err != nil {
		log.Fatal(err)
	}
	stop()
	fmt.Println(d.ID, d.Confirm(context.Background()), <-done)
	// Output: a <nil> <nil>
}

// After Run nothing is delivered.
func ExampleConsumer_Consume() {
	c, end := opened("a")
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	stop()
	fmt.Println(c.Run(ctx))
	_, err := c.Consume(context.Background())
	fmt.Println(errors.Is(err, task.ErrClosed))
	// Output:
	// <nil>
	// true
}

// The workers of Handle start at once and wait for Run.
func ExampleConsumer_Handle() {
	c, end := opened("a")
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	handlers := c.Handle(2, func(_ context.Context, d *consumer.Delivery) error {
		defer stop()
		fmt.Println(d.ID)
		return nil
	})
	fmt.Println(c.Run(ctx), handlers.Stop())
	// Output:
	// a
	// <nil> <nil>
}

// Stop waits for handlers, and names the deliveries of those that do not return.
func ExampleHandlers_Stop() {
	c, end := opened("a")
	defer end()
	handlers := c.Handle(2, func(context.Context, *consumer.Delivery) error { return nil })
	fmt.Println(handlers.Stop()) // Run was not called
	// Output: <nil>
}

// Stuck is a gauge: how many handlers have run for longer than DeliveryTimeout.
func ExampleHandlers_Stuck() {
	c, end := opened("a")
	defer end()
	handlers := c.Handle(2, func(context.Context, *consumer.Delivery) error { return nil })
	fmt.Println(handlers.Stuck(), handlers.Stop())
	// Output: 0 <nil>
}

// The figures of a process, read without I/O.
func ExampleConsumer_Figures() {
	c, end := opened("a")
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	d, err := c.Consume(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := d.Rollback(ctx, time.Hour); err != nil {
		log.Fatal(err)
	}
	stop()
	fmt.Println(<-done)
	f := c.Figures()
	fmt.Println(f.Delivered, "delivered,", f.Confirmed, "confirmed,", f.RolledBack, "rolled back")
	// Output:
	// <nil>
	// 1 delivered, 0 confirmed, 1 rolled back
}

// A test has one task delivered at a time, by a clock of its own.
func ExampleConsumer_Step() {
	c, end := opened("a")
	defer end()
	handle := func(_ context.Context, d *consumer.Delivery) error {
		fmt.Println(d.ID, "attempt", d.Attempt)
		return nil
	}
	for {
		delivered, err := c.Step(context.Background(), time.Now, handle)
		if err != nil {
			log.Fatal(err)
		}
		if !delivered {
			break
		}
	}
	fmt.Println(c.Figures().Confirmed, "confirmed")
	// Output:
	// a attempt 1
	// 1 confirmed
}
