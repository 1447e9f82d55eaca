package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/triggerhook/triggerhook"
)

// Run makes a process a worker, whose own goroutines call Consume. When ctx ends, Run waits
// for what they have in hand, and only then the stores may be closed.
func ExampleScheduler_Run() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if err := s.Create(ctx, &triggerhook.Task{ID: "reminder-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	d, err := s.Consume(ctx)
	if err != nil {
		log.Fatal(err) // ctx.Err(), or ErrClosed once Run has begun to end
	}
	stop() // the drain waits for d
	fmt.Println(d.ID, d.Confirm(context.Background()))
	fmt.Println(<-done)
	// Output:
	// reminder-17 <nil>
	// <nil>
}

// Any number of goroutines call Consume. Each delivery is one goroutine's alone.
func ExampleScheduler_Consume() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	stop := working(s)
	ctx := context.Background()
	if err := s.Create(ctx, &triggerhook.Task{ID: "reminder-17", Due: time.Now(), Payload: []byte("tea is ready")}); err != nil {
		log.Fatal(err)
	}
	d, err := s.Consume(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s\n", d.ID, d.Payload)
	if err := d.Confirm(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(stop())
	// Output:
	// reminder-17: tea is ready
	// <nil>
}

// Consume as a range, which ends when ctx or Run ends.
func ExampleScheduler_Deliveries() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	stop := working(s)
	ctx := context.Background()
	start := time.Now()
	for i, id := range []string{"first", "second", "third"} {
		if err := s.Create(ctx, &triggerhook.Task{ID: id, Due: start.Add(time.Duration(i) * 50 * time.Millisecond)}); err != nil {
			log.Fatal(err)
		}
	}
	left := 3
	for d := range s.Deliveries(ctx) {
		fmt.Println(d.ID)
		d.ConfirmAsync()
		if left--; left == 0 {
			break
		}
	}
	fmt.Println(stop())
	// Output:
	// first
	// second
	// third
	// <nil>
}

// Handle is Run with workers: nil confirms, an error offers the task again.
func ExampleScheduler_Handle() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	if err := s.Create(ctx, &triggerhook.Task{ID: "reminder-17", Due: time.Now(), Payload: []byte("tea is ready")}); err != nil {
		log.Fatal(err)
	}
	err := s.Handle(ctx, 8, func(ctx context.Context, d *triggerhook.Delivery) error {
		defer stop() // a program ends when a signal does so
		fmt.Printf("%s: %s\n", d.ID, d.Payload)
		return nil
	})
	fmt.Println(err)
	// Output:
	// reminder-17: tea is ready
	// <nil>
}

// A handler that fails is called again after Options.Backoff. Attempt counts from 1, and tells
// when to give up: the handler notes that somewhere, and returns nil.
func ExampleScheduler_Handle_backoff() {
	s, end := openScheduler(triggerhook.Options{
		Backoff: func(attempt int) time.Duration { return time.Duration(attempt) * 10 * time.Millisecond },
	})
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	if err := s.Create(ctx, &triggerhook.Task{ID: "push-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	err := s.Handle(ctx, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
		if d.Attempt < 3 {
			fmt.Println("attempt", d.Attempt, "fails")
			return errors.New("the push service does not answer")
		}
		defer stop()
		fmt.Println("attempt", d.Attempt, "is the last: written to the list of failures")
		return nil
	})
	fmt.Println(err)
	// Output:
	// attempt 1 fails
	// attempt 2 fails
	// attempt 3 is the last: written to the list of failures
	// <nil>
}

// A handler that needs to know that its task is done confirms it itself, and waits with its
// own context. What Confirm answers is what became of the row.
func ExampleDelivery_Confirm() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	if err := s.Create(ctx, &triggerhook.Task{ID: "invoice-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	err := s.Handle(ctx, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
		defer stop()
		if err := d.Confirm(ctx); err != nil { // ErrGone: another worker was first, or it was deleted
			return err
		}
		fmt.Println(d.ID, "is done, and will not be delivered again")
		fmt.Println("its context ended after that:", errors.Is(context.Cause(ctx), triggerhook.ErrSettled))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// invoice-17 is done, and will not be delivered again
	// its context ended after that: true
}

// ConfirmAsync does not wait, so one goroutine gets through many small tasks. The end of Run
// waits for all that was answered.
func ExampleDelivery_ConfirmAsync() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	stop := working(s)
	ctx := context.Background()
	if err := s.Create(ctx, &triggerhook.Task{ID: "push-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	d, err := s.Consume(ctx)
	if err != nil {
		log.Fatal(err)
	}
	d.ConfirmAsync()
	fmt.Println(stop())
	_, err = s.Get(ctx, "push-17")
	fmt.Println("done:", errors.Is(err, triggerhook.ErrNotFound))
	// Output:
	// <nil>
	// done: true
}

// Rollback gives a task back, now or later: here because a service asked to be left alone for
// a moment.
func ExampleDelivery_Rollback() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	stop := working(s)
	ctx := context.Background()
	if err := s.Create(ctx, &triggerhook.Task{ID: "push-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	for d := range s.Deliveries(ctx) {
		if d.Attempt == 1 {
			fmt.Println("attempt 1 is rolled back:", d.Rollback(ctx, 20*time.Millisecond))
			continue
		}
		fmt.Println("attempt", d.Attempt, "is confirmed:", d.Confirm(ctx))
		break
	}
	fmt.Println(stop())
	// Output:
	// attempt 1 is rolled back: <nil>
	// attempt 2 is confirmed: <nil>
	// <nil>
}

// A handler passes its context on to whatever it calls. The context ends when the task is no
// longer the handler's, and its cause says why. Here DeliveryTimeout is over.
func ExampleDelivery_Context() {
	s, end := openScheduler(triggerhook.Options{DeliveryTimeout: 50 * time.Millisecond})
	defer end()
	stop := working(s)
	ctx := context.Background()
	if err := s.Create(ctx, &triggerhook.Task{ID: "report-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	d, err := s.Consume(ctx)
	if err != nil {
		log.Fatal(err)
	}
	select {
	case <-time.After(time.Minute): // the work
		fmt.Println("done")
	case <-d.Context().Done():
		fmt.Println("others are offered the task:", errors.Is(context.Cause(d.Context()), triggerhook.ErrTimeout))
	}
	fmt.Println("a Confirm counts all the same:", d.Confirm(ctx))
	fmt.Println(stop())
	// Output:
	// others are offered the task: true
	// a Confirm counts all the same: <nil>
	// <nil>
}
