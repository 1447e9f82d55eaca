package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/retrypolicy"
)

// openWorker opens a Scheduler on the embedded pair, as ExampleNew does, in a folder that end
// removes.
func openWorker(o triggerhook.Options) (s *triggerhook.Scheduler, end func()) {
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
	if s, err = triggerhook.New(store, set, o); err != nil {
		log.Fatal(err)
	}
	if err := s.Migrate(context.Background()); err != nil {
		log.Fatal(err)
	}
	return s, func() {
		if err := errors.Join(store.Close(), os.RemoveAll(dir)); err != nil {
			log.Fatal(err)
		}
	}
}

// runWorker runs s until stop is called, which returns what Run returned.
func runWorker(s *triggerhook.Scheduler) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

// Run makes a process a worker, whose own goroutines call Consume. When ctx ends, Run waits
// for what they have in hand, and only then the stores may be closed.
func ExampleScheduler_Run() {
	s, end := openWorker(triggerhook.Options{})
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
	s, end := openWorker(triggerhook.Options{})
	defer end()
	stop := runWorker(s)
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
	s, end := openWorker(triggerhook.Options{})
	defer end()
	stop := runWorker(s)
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
	s, end := openWorker(triggerhook.Options{})
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

// A handler that fails is called again after Options.Retry. After MaxAttempts the task is a dead
// letter. Attempt counts from 1.
func ExampleScheduler_Handle_retry() {
	s, end := openWorker(triggerhook.Options{
		Retry:       retrypolicy.Exponential{First: 10 * time.Millisecond, Max: time.Minute},
		MaxAttempts: 3,
	})
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	if err := s.Create(ctx, &triggerhook.Task{ID: "push-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	err := s.Handle(ctx, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
		fmt.Println("attempt", d.Attempt, "fails")
		if d.Attempt == 3 {
			stop() // a program ends when a signal does so
		}
		return errors.New("the push service does not answer")
	})
	fmt.Println(err)
	_, err = s.Get(context.Background(), "push-17")
	fmt.Println("not found:", errors.Is(err, triggerhook.ErrNotFound))
	// Output:
	// attempt 1 fails
	// attempt 2 fails
	// attempt 3 fails
	// <nil>
	// not found: true
}

// A middleware that counts failures, and takes no snooze for one.
func ExampleSnoozed() {
	err := fmt.Errorf("the office is closed: %w", triggerhook.Snooze(time.Hour))
	fmt.Println(triggerhook.Snoozed(err), triggerhook.Snoozed(errors.New("no answer")))
	// Output: true false
}

// A metric of your own counts what handlers gave up apart from what failed.
func ExampleDiscarded() {
	err := fmt.Errorf("charge: %w", triggerhook.Discard("no such card"))
	fmt.Println(triggerhook.Discarded(err), triggerhook.Discarded(errors.New("no answer")))
	// Output: true false
}

// A log line of your own tells a task that was done before from a failure.
func ExampleGone() {
	err := fmt.Errorf("confirm %q: %w", "sale-17", triggerhook.ErrGone)
	fmt.Println(triggerhook.Gone(context.Background(), err), triggerhook.Gone(context.Background(), errors.New("no answer")))
	// Output: true false
}

// A handler that cannot work now postpones its task. That counts no attempt.
func ExampleSnooze() {
	s, end := openWorker(triggerhook.Options{MaxAttempts: 1})
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	if err := s.Create(ctx, &triggerhook.Task{ID: "call-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	open := false
	err := s.Handle(ctx, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
		if !open {
			open = true
			fmt.Println("attempt", d.Attempt, "finds the office closed")
			return fmt.Errorf("the office is closed: %w", triggerhook.Snooze(20*time.Millisecond))
		}
		defer stop()
		fmt.Println("attempt", d.Attempt, "succeeds")
		return nil
	})
	fmt.Println(err)
	// Output:
	// attempt 1 finds the office closed
	// attempt 1 succeeds
	// <nil>
}

// A handler that can never succeed gives its task up at once.
func ExampleDiscard() {
	s, end := openWorker(triggerhook.Options{})
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	if err := s.Create(ctx, &triggerhook.Task{ID: "charge-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	err := s.Handle(ctx, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
		defer stop()
		return fmt.Errorf("charge: %w", triggerhook.Discard("there is no such card"))
	})
	fmt.Println(err)
	_, err = s.Get(context.Background(), "charge-17")
	fmt.Println("not found:", errors.Is(err, triggerhook.ErrNotFound))
	// Output:
	// <nil>
	// not found: true
}

// A handler that is told when to come back passes that on. The attempt counts.
func ExampleRetryAfter() {
	s, end := openWorker(triggerhook.Options{Retry: retrypolicy.Constant(time.Hour)})
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	if err := s.Create(ctx, &triggerhook.Task{ID: "push-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	err := s.Handle(ctx, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
		fmt.Println("attempt", d.Attempt)
		if d.Attempt == 1 {
			return triggerhook.RetryAfter(20 * time.Millisecond) // what the answer 429 has in its header
		}
		stop()
		return nil
	})
	fmt.Println(err)
	// Output:
	// attempt 1
	// attempt 2
	// <nil>
}

// A program that uses Consume says with Fail what Handle does for a handler that returns an error.
func ExampleDelivery_Fail() {
	s, end := openWorker(triggerhook.Options{MaxAttempts: 1})
	defer end()
	ctx, stop := context.WithCancel(context.Background())
	if err := s.Create(ctx, &triggerhook.Task{ID: "push-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	d, err := s.Consume(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Fail(ctx, errors.New("the push service does not answer"))) // nil: it was the last attempt, and the task is a dead letter
	stop()
	fmt.Println(<-done)
	// Output:
	// <nil>
	// <nil>
}

// A handler that needs to know that its task is done confirms it itself, and waits with its
// own context. What Confirm answers is what became of the row.
func ExampleDelivery_Confirm() {
	s, end := openWorker(triggerhook.Options{})
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
	s, end := openWorker(triggerhook.Options{})
	defer end()
	stop := runWorker(s)
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
	s, end := openWorker(triggerhook.Options{})
	defer end()
	stop := runWorker(s)
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
	s, end := openWorker(triggerhook.Options{DeliveryTimeout: 50 * time.Millisecond})
	defer end()
	stop := runWorker(s)
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
