package triggerhook_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/triggerhook/triggerhook"
)

// What became of a task is kept for a month after it has ended: here of one ID that was used twice.
func ExampleScheduler_History() {
	s, end := openScheduler(triggerhook.Options{History: triggerhook.History{Retention: 30 * 24 * time.Hour, Worker: "mailer-1"}})
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
