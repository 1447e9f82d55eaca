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
)

// openScheduler opens a Scheduler on the embedded pair, as ExampleNew does, in a folder that end
// removes.
func openScheduler(o triggerhook.Options) (s *triggerhook.Scheduler, end func()) {
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

// working runs s until stop is called, which returns what Run returned.
func working(s *triggerhook.Scheduler) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

// A Scheduler on the embedded pair: a file for the durable store, and this process for the hot
// set. On servers only these two calls change: see durable.NewMySQL and hotset.NewRedis.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := bolt.Open(filepath.Join(dir, "tasks.bolt"), bolt.Options{Namespace: "mail"})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	set, err := local.New(local.Options{Namespace: "mail"})
	if err != nil {
		log.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{Window: 5 * time.Minute, MaxPayload: 16 << 10})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Migrate(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready for tasks of", s.Namespace())
	// Output: ready for tasks of mail
}

// All problems of the options are reported together.
func ExampleNew_invalid() {
	_, err := triggerhook.New(nil, nil, triggerhook.Options{Lease: time.Hour})
	fmt.Println(errors.Is(err, triggerhook.ErrInvalid))
	fmt.Println(err)
	// Output:
	// true
	// new scheduler: invalid: Options.Lease is 1h0m0s, allowed are 1s to 10m0s
	// invalid: store is nil
	// invalid: set is nil
}

// The namespace names the tables and keys: one log line tells which queue a process works on.
func ExampleScheduler_Namespace() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	fmt.Println(s.Namespace())
	// Output: triggerhook
}

// Each process calls Migrate when it starts. Only the first call has something to do.
func ExampleScheduler_Migrate() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the schema is up to date")
	// Output: the schema is up to date
}

// Two tasks, both or none. The caller names one of them; Create names the other.
func ExampleScheduler_Create() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	remind := &triggerhook.Task{ID: "reminder-17", Due: time.Now().Add(time.Hour), Payload: []byte(`{"to":"ann"}`)}
	cancel := &triggerhook.Task{Due: time.Date(2030, 1, 31, 18, 0, 0, 0, time.UTC)}
	if err := s.Create(context.Background(), remind, cancel); err != nil {
		log.Fatal(err)
	}
	fmt.Println(remind.ID)
	fmt.Println("an id of", len(cancel.ID), "characters, due", cancel.Due)
	// Output:
	// reminder-17
	// an id of 36 characters, due 2030-01-31 18:00:00 +0000 UTC
}

// An ID of the caller's own makes it harmless to repeat a Create: a client that got no answer may
// ask again, and ErrExists says that the first call had succeeded.
func ExampleScheduler_Create_repeated() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	for range 2 {
		err := s.Create(ctx, &triggerhook.Task{ID: "reminder-17", Due: time.Now().Add(time.Hour)})
		switch {
		case errors.Is(err, triggerhook.ErrExists):
			fmt.Println("it was created before")
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println("created")
		}
	}
	// Output:
	// created
	// it was created before
}

// What is deleted in time is not delivered.
func ExampleScheduler_Delete() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	if err := s.Create(ctx, &triggerhook.Task{ID: "cancel-order-17", Due: time.Now().Add(time.Hour)}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Delete(ctx, "cancel-order-17"))
	err := s.Delete(ctx, "cancel-order-17")
	fmt.Println(errors.Is(err, triggerhook.ErrNotFound), err)
	// Output:
	// <nil>
	// true task not found: "cancel-order-17"
}

// ErrClaimed: the task is deleted, but a worker had it before. That one delivery may still
// happen, so its handler is to look at the order again.
func ExampleScheduler_Delete_claimed() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	stop := working(s)
	if err := s.Create(ctx, &triggerhook.Task{ID: "cancel-order-17", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	d, err := s.Consume(ctx)
	if err != nil {
		log.Fatal(err)
	}
	err = s.Delete(ctx, d.ID)
	fmt.Println("a worker has it:", errors.Is(err, triggerhook.ErrClaimed))
	err = d.Confirm(ctx)
	fmt.Println("the worker learns that it is gone:", errors.Is(err, triggerhook.ErrGone))
	fmt.Println(stop())
	// Output:
	// a worker has it: true
	// the worker learns that it is gone: true
	// <nil>
}

// A task moves to an earlier or later time in one call.
func ExampleScheduler_Reschedule() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	if err := s.Create(ctx, &triggerhook.Task{ID: "cancel-order-17", Due: time.Now().Add(time.Minute)}); err != nil {
		log.Fatal(err)
	}
	if err := s.Reschedule(ctx, "cancel-order-17", time.Date(2030, 1, 31, 18, 0, 0, 0, time.UTC)); err != nil {
		log.Fatal(err) // ErrNotFound: it is done already, or was deleted
	}
	info, err := s.Get(ctx, "cancel-order-17")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Due)
	// Output: 2030-01-31 18:00:00 +0000 UTC
}

// What became of a task, for a support desk.
func ExampleScheduler_Get() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	due := time.Date(2030, 1, 31, 18, 0, 0, 0, time.UTC)
	if err := s.Create(ctx, &triggerhook.Task{ID: "reminder-17", Due: due, Payload: []byte("tea")}); err != nil {
		log.Fatal(err)
	}
	info, err := s.Get(ctx, "reminder-17")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s, attempt %d, payload %q\n", info.ID, info.State, info.Attempt, info.Payload)
	_, err = s.Get(ctx, "reminder-18")
	fmt.Println("done, or never there:", errors.Is(err, triggerhook.ErrNotFound))
	// Output:
	// reminder-17: scheduled, attempt 1, payload "tea"
	// done, or never there: true
}

// The figures, for a health check. The metrics package exports them to Prometheus.
func ExampleScheduler_Stats() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	for range 3 {
		if err := s.Create(ctx, &triggerhook.Task{Due: time.Now().Add(time.Hour)}); err != nil {
			log.Fatal(err)
		}
	}
	stats, err := s.Stats(ctx)
	if err != nil {
		log.Print(err) // a store does not answer: the figures of the process are valid all the same
	}
	fmt.Println(stats.Namespace.Tasks, "tasks are unfinished,", stats.Process.Created, "were created here")
	// Output: 3 tasks are unfinished, 3 were created here
}

// What became of a task is kept for a month after it has ended: here of one ID that was used twice.
func ExampleScheduler_History() {
	s, end := openScheduler(triggerhook.Options{Worker: "mailer-1", History: triggerhook.History{Retention: 30 * 24 * time.Hour}})
	defer end()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	for _, due := range []time.Time{time.Now().Add(time.Hour), time.Now()} {
		if err := s.Create(ctx, &triggerhook.Task{ID: "reminder-42", Due: due}); err != nil {
			log.Fatal(err)
		}
		if time.Until(due) > 0 { // the customer asks for another time
			if err := s.Delete(ctx, "reminder-42"); err != nil {
				log.Fatal(err)
			}
		}
	}
	work, done := context.WithCancel(ctx)
	err := s.Handle(work, 1, func(ctx context.Context, d *triggerhook.Delivery) error {
		defer done()
		return d.Confirm(ctx)
	})
	if err != nil {
		log.Fatal(err)
	}
	all, err := s.History(ctx, "reminder-42")
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range all {
		fmt.Printf("%s %s by %s after %d attempts\n", e.ID, e.How, e.Worker, e.Attempts)
	}
	// Output:
	// reminder-42 confirmed by mailer-1 after 1 attempts
	// reminder-42 deleted by mailer-1 after 0 attempts
}

// How many tasks come due: a figure to scale workers by before they are late.
func ExampleScheduler_Forecast() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	for _, in := range []time.Duration{30 * time.Second, 20 * time.Minute, 40 * time.Minute} {
		if err := s.Create(ctx, &triggerhook.Task{Due: time.Now().Add(in)}); err != nil {
			log.Fatal(err)
		}
	}
	all, err := s.Forecast(ctx, time.Minute, time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range all {
		fmt.Printf("within %s: %d, an estimate: %t\n", f.Within, f.Tasks, f.Estimated)
	}
	// Output:
	// within 1m0s: 1, an estimate: false
	// within 1h0m0s: 3, an estimate: false
}

// A process that only creates tasks calls Flush before it closes its stores.
func ExampleScheduler_Flush() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	if err := s.Create(ctx, &triggerhook.Task{Due: time.Now().Add(time.Hour)}); err != nil {
		log.Fatal(err)
	}
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := s.Flush(soon); err != nil {
		log.Print(err) // the task is stored all the same: a worker finds it
	}
	fmt.Println("all is told")
	// Output: all is told
}

// An IDError tells which of several tasks a call is about.
func ExampleIDError() {
	s, end := openScheduler(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	if err := s.Create(ctx, &triggerhook.Task{ID: "a", Due: time.Now().Add(time.Hour)}); err != nil {
		log.Fatal(err)
	}
	err := s.Delete(ctx, "a", "b", "c")
	var ids *triggerhook.IDError
	if errors.As(err, &ids) {
		fmt.Println("not found:", ids.NotFound, "claimed:", ids.Claimed)
	}
	// Output: not found: [b c] claimed: []
}

// Errors are told apart with errors.Is.
func Example_errors() {
	s, end := openScheduler(triggerhook.Options{MaxPayload: 3})
	defer end()
	ctx := context.Background()
	later := time.Now().Add(time.Hour)
	err := s.Create(ctx, &triggerhook.Task{ID: "a", Due: later, Payload: []byte("long")})
	fmt.Println("the caller's mistake:", errors.Is(err, triggerhook.ErrInvalid))
	err = s.Create(ctx, make([]*triggerhook.Task, 100_001)...)
	fmt.Println("more than a call takes:", errors.Is(err, triggerhook.ErrTooLarge))
	err = s.Reschedule(ctx, "a", later)
	fmt.Println("no such task:", errors.Is(err, triggerhook.ErrNotFound))
	stop := working(s)
	if err := s.Create(ctx, &triggerhook.Task{ID: "b", Due: time.Now()}); err != nil {
		log.Fatal(err)
	}
	d, err := s.Consume(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Confirm(ctx))
	err = d.Confirm(ctx)
	fmt.Println("a second answer:", errors.Is(err, triggerhook.ErrSettled))
	fmt.Println(stop())
	_, err = s.Consume(ctx)
	fmt.Println("after Run:", errors.Is(err, triggerhook.ErrClosed))
	err = s.Run(ctx)
	fmt.Println("Run runs once:", errors.Is(err, triggerhook.ErrClosed))
	// Output:
	// the caller's mistake: true
	// more than a call takes: true
	// no such task: true
	// <nil>
	// a second answer: true
	// <nil>
	// after Run: true
	// Run runs once: true
}
