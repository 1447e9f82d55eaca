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

// openDead opens a Scheduler on the embedded pair, as ExampleNew does, in a folder that end
// removes.
func openDead(o triggerhook.Options) (s *triggerhook.Scheduler, end func()) {
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

// tooLate creates tasks that were due an hour ago and have expired since, and works until they are dead letters.
func tooLate(s *triggerhook.Scheduler, ids ...string) {
	ctx := context.Background()
	due := time.Now().Add(-time.Hour)
	for _, id := range ids {
		err := s.Create(ctx, &triggerhook.Task{ID: id, Due: due, Expires: due.Add(10 * time.Minute), Payload: []byte("match begins")})
		if err != nil {
			log.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(ctx)
	go func() {
		defer stop()
		for {
			if st, err := s.Stats(ctx); err != nil || st.Process.Expired == uint64(len(ids)) {
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	err := s.Handle(ctx, 1, func(_ context.Context, d *triggerhook.Delivery) error {
		fmt.Println("delivered too late:", d.ID)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
}

// Too late is worse than never: no handler sees the news of a match that has begun long ago, and the dead letter tells of it.
func ExampleScheduler_ListDead() {
	s, end := openDead(triggerhook.Options{})
	defer end()
	tooLate(s, "push-1", "push-2", "mail-1")
	for d, err := range s.ListDead(context.Background(), triggerhook.DeadFilter{IDPrefix: "push-", Reason: triggerhook.ReasonExpired}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s after %d attempts: %s\n", d.ID, d.Reason, d.Attempts, d.Payload)
	}
	// Output:
	// push-1 expired after 0 attempts: match begins
	// push-2 expired after 0 attempts: match begins
}

// A page of a list at a time: Cursor of the last dead letter is where the next page begins.
func ExampleDeadTask_Cursor() {
	s, end := openDead(triggerhook.Options{})
	defer end()
	tooLate(s, "push-1", "push-2", "push-3")
	f := triggerhook.DeadFilter{IDPrefix: "push-"}
	for page := range 2 {
		shown := 0
		for d, err := range s.ListDead(context.Background(), f) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println("page", page+1, d.ID)
			if f.After, shown = d.Cursor(), shown+1; shown == 2 {
				break
			}
		}
	}
	// Output:
	// page 1 push-1
	// page 1 push-2
	// page 2 push-3
}

// One dead letter is made a task again; it has no Expires then.
func ExampleScheduler_Requeue() {
	s, end := openDead(triggerhook.Options{})
	defer end()
	tooLate(s, "push-1")
	ctx := context.Background()
	if err := s.Requeue(ctx, "push-1", time.Now().Add(time.Hour)); err != nil {
		log.Fatal(err)
	}
	info, err := s.Get(ctx, "push-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s expires: %t; it is delivered with attempt %d\n", info.ID, !info.Expires.IsZero(), info.Attempt)
	fmt.Println("again:", errors.Is(s.Requeue(ctx, "push-1", time.Now()), triggerhook.ErrNotFound))
	// Output:
	// push-1 expires: false; it is delivered with attempt 1
	// again: true
}

// After an outage all that has died in it is made tasks again, ten of them a second, so that they do not come as one wave.
func ExampleScheduler_RequeueDead() {
	s, end := openDead(triggerhook.Options{})
	defer end()
	tooLate(s, "push-1", "push-2", "push-3")
	ctx := context.Background()
	n, err := s.RequeueDead(ctx, triggerhook.DeadFilter{DeadFrom: time.Now().Add(-time.Minute)}, triggerhook.RequeueOptions{Rate: 10})
	if err != nil {
		log.Fatal(err)
	}
	var first, last time.Time
	for _, id := range []string{"push-1", "push-2", "push-3"} {
		info, err := s.Get(ctx, id)
		if err != nil {
			log.Fatal(err)
		}
		if first.IsZero() || info.Due.Before(first) {
			first = info.Due
		}
		if info.Due.After(last) {
			last = info.Due
		}
	}
	fmt.Println(n, "tasks, the last one due", last.Sub(first), "after the first")
	// Output:
	// 3 tasks, the last one due 200ms after the first
}

// A dead letter stays until it is requeued or purged.
func ExampleScheduler_PurgeDead() {
	s, end := openDead(triggerhook.Options{})
	defer end()
	tooLate(s, "push-1", "push-2")
	ctx := context.Background()
	n, err := s.PurgeDead(ctx, triggerhook.DeadFilter{DeadBefore: time.Now().AddDate(0, 0, -30)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("older than 30 days:", n)
	if n, err = s.PurgeDead(ctx, triggerhook.DeadFilter{IDPrefix: "push-"}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("pushes:", n)
	// Output:
	// older than 30 days: 0
	// pushes: 2
}
