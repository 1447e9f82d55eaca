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

// openFind opens a Scheduler on the embedded pair, as ExampleNew does, in a folder that end
// removes.
func openFind(o triggerhook.Options) (s *triggerhook.Scheduler, end func()) {
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

// reminders creates tasks of two customers, whose IDs begin with the customer: one due at due, the next an hour later.
func reminders(ctx context.Context, s *triggerhook.Scheduler, due time.Time) {
	err := s.Create(ctx,
		&triggerhook.Task{ID: "customer-42/trial-ends", Due: due, Headers: map[string]string{"kind": "mail"}},
		&triggerhook.Task{ID: "customer-42/invoice", Due: due.Add(time.Hour), Headers: map[string]string{"kind": "invoice"}},
		&triggerhook.Task{ID: "customer-7/trial-ends", Due: due.Add(2 * time.Hour), Headers: map[string]string{"kind": "mail"}})
	if err != nil {
		log.Fatal(err)
	}
}

// The next tasks of a kind, in the order of their times. The loop may end at any task.
func ExampleScheduler_List() {
	s, end := openFind(triggerhook.Options{})
	defer end()
	ctx, due := context.Background(), time.Date(2040, 5, 17, 18, 0, 0, 0, time.UTC)
	reminders(ctx, s, due)
	for info, err := range s.List(ctx, triggerhook.Filter{DueFrom: due, Headers: map[string]string{"kind": "mail"}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(info.ID, info.Due.Format(time.TimeOnly), info.State)
	}
	// Output:
	// customer-42/trial-ends 18:00:00 scheduled
	// customer-7/trial-ends 20:00:00 scheduled
}

// A Filter has a field for each way to select tasks. All that are set must match.
func ExampleFilter() {
	s, end := openFind(triggerhook.Options{})
	defer end()
	ctx, due := context.Background(), time.Date(2040, 5, 17, 18, 0, 0, 0, time.UTC)
	reminders(ctx, s, due)
	f := triggerhook.Filter{IDPrefix: "customer-42/", DueFrom: due, DueBefore: due.Add(time.Hour)}
	for info, err := range s.List(ctx, f) {
		fmt.Println(info.ID, err)
	}
	// Output: customer-42/trial-ends <nil>
}

// A customer has left: a dry run tells how many tasks there are, and then all of them are deleted.
func ExampleScheduler_DeleteWhere() {
	s, end := openFind(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	reminders(ctx, s, time.Now().Add(24*time.Hour))
	f := triggerhook.Filter{IDPrefix: "customer-42/"}
	dry, err := s.DeleteWhere(ctx, f, triggerhook.WhereOptions{DryRun: true})
	if err != nil {
		log.Fatal(err)
	}
	result, err := s.DeleteWhere(ctx, f, triggerhook.WhereOptions{})
	fmt.Println(dry.Matched, "match,", result.Changed, "deleted,", result.Claimed, "claimed before,", err)
	// Output: 2 match, 2 deleted, 0 claimed before, <nil>
}

// Mail is late by two hours: all mails of an afternoon move by that.
func ExampleScheduler_RescheduleWhere() {
	s, end := openFind(triggerhook.Options{})
	defer end()
	ctx, due := context.Background(), time.Date(2040, 5, 17, 18, 0, 0, 0, time.UTC)
	reminders(ctx, s, due)
	mails := triggerhook.Filter{DueFrom: due, DueBefore: due.Add(6 * time.Hour), Headers: map[string]string{"kind": "mail"}}
	result, err := s.RescheduleWhere(ctx, mails, triggerhook.Shift{By: 2 * time.Hour}, triggerhook.WhereOptions{})
	if err != nil {
		log.Fatal(err)
	}
	info, err := s.Get(ctx, "customer-42/trial-ends")
	fmt.Println(result.Changed, "moved, the first is due at", info.Due.Format(time.TimeOnly), err)
	// Output: 2 moved, the first is due at 20:00:00 <nil>
}

// Shift moves tasks by a duration, or all of them to one time.
func ExampleShift() {
	s, end := openFind(triggerhook.Options{})
	defer end()
	ctx, due := context.Background(), time.Date(2040, 5, 17, 18, 0, 0, 0, time.UTC)
	reminders(ctx, s, due)
	result, err := s.RescheduleWhere(ctx, triggerhook.Filter{}, triggerhook.Shift{To: due}, triggerhook.WhereOptions{All: true})
	fmt.Println(result.Changed, "of 3 were due later,", err)
	// Output: 2 of 3 were due later, <nil>
}

// Progress is told after each page, and may end the call by its context.
func ExampleWhereOptions() {
	s, end := openFind(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	reminders(ctx, s, time.Now().Add(24*time.Hour))
	_, err := s.DeleteWhere(ctx, triggerhook.Filter{IDPrefix: "customer-"}, triggerhook.WhereOptions{
		Progress: func(done int) { fmt.Println(done, "deleted so far") },
	})
	fmt.Println(err)
	// Output:
	// 3 deleted so far
	// <nil>
}

// The counts differ where tasks were done before they could be changed, or were in the hands of a worker.
func ExampleWhereResult() {
	s, end := openFind(triggerhook.Options{})
	defer end()
	result, err := s.DeleteWhere(context.Background(), triggerhook.Filter{IDPrefix: "customer-42/"}, triggerhook.WhereOptions{})
	fmt.Printf("%+v %v\n", result, err)
	// Output: {Matched:0 Changed:0 Claimed:0 Refused:0} <nil>
}

// The text of a reminder changes, and it comes a day later.
func ExampleScheduler_Update() {
	s, end := openFind(triggerhook.Options{})
	defer end()
	ctx, due := context.Background(), time.Date(2040, 5, 17, 18, 0, 0, 0, time.UTC)
	reminders(ctx, s, due)
	err := s.Update(ctx, "customer-42/trial-ends", triggerhook.Change{Due: due.AddDate(0, 0, 1), Payload: []byte("one more day")})
	if err != nil {
		log.Fatal(err)
	}
	info, err := s.Get(ctx, "customer-42/trial-ends")
	fmt.Println(info.Due.Format(time.DateOnly), string(info.Payload), info.Headers["kind"], err)
	// Output: 2040-05-18 one more day mail <nil>
}

// A field that is not set stays as it is. An empty map that is not nil takes the headers away.
func ExampleChange() {
	s, end := openFind(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	reminders(ctx, s, time.Now().Add(24*time.Hour))
	fmt.Println(s.Update(ctx, "customer-7/trial-ends", triggerhook.Change{Headers: map[string]string{}}))
	info, err := s.Get(ctx, "customer-7/trial-ends")
	fmt.Println(len(info.Headers), err)
	// Output:
	// <nil>
	// 0 <nil>
}

// A producer whose call timed out repeats it. With Keep there is one task, whatever became of the first call.
func ExampleScheduler_Upsert() {
	s, end := openFind(triggerhook.Options{})
	defer end()
	ctx, due := context.Background(), time.Now().Add(24*time.Hour)
	for range 2 {
		done, err := s.Upsert(ctx, triggerhook.Keep, &triggerhook.Task{ID: "order-7/cancel", Due: due})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(done[0])
	}
	// Output:
	// created
	// kept
}

// An index is rebuilt a minute after the last change of a document: each change pushes the task out.
func ExampleOnConflict() {
	s, end := openFind(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	for change := range 3 {
		_, err := s.Upsert(ctx, triggerhook.Debounce, &triggerhook.Task{ID: "document-9/index", Due: time.Now().Add(time.Minute), Payload: fmt.Append(nil, "change ", change)})
		if err != nil {
			log.Fatal(err)
		}
	}
	info, err := s.Get(ctx, "document-9/index")
	fmt.Println(string(info.Payload), err)
	// Output: change 2 <nil>
}

// Upsert tells for each of its tasks what it did.
func ExampleUpsertOutcome() {
	s, end := openFind(triggerhook.Options{})
	defer end()
	ctx, due := context.Background(), time.Now().Add(time.Hour)
	earlier := &triggerhook.Task{ID: "a", Due: due}
	if err := s.Create(ctx, &triggerhook.Task{ID: "a", Due: due.Add(time.Hour)}, &triggerhook.Task{ID: "b", Due: due}); err != nil {
		log.Fatal(err)
	}
	done, err := s.Upsert(ctx, triggerhook.Earliest, earlier, &triggerhook.Task{ID: "b", Due: due.Add(time.Hour)}, &triggerhook.Task{ID: "c", Due: due})
	fmt.Println(done, err)
	// Output: [replaced kept created] <nil>
}

// A page of a list at a time, as for an HTTP API: Cursor of the last task is what the next request brings back.
func ExampleInfo_Cursor() {
	s, end := openFind(triggerhook.Options{})
	defer end()
	ctx := context.Background()
	reminders(ctx, s, time.Now().Add(24*time.Hour))

	page := func(after string) (ids []string, next string) {
		for task, err := range s.List(ctx, triggerhook.Filter{After: after}) {
			if err != nil {
				log.Fatal(err)
			}
			if ids, next = append(ids, task.ID), task.Cursor(); len(ids) == 2 {
				break
			}
		}
		return ids, next
	}
	first, next := page("")
	fmt.Println(first)
	second, _ := page(next)
	fmt.Println(second)
	// Output:
	// [customer-42/trial-ends customer-42/invoice]
	// [customer-7/trial-ends]
}
