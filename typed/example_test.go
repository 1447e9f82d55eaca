package typed_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/typed"
)

// Reminder is what the tasks of a namespace hold.
type Reminder struct {
	To, Text string
}

// open returns a scheduler on the embedded pair, and what closes and removes it.
func open() (*triggerhook.Scheduler, func()) {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	store, err := bolt.Open(filepath.Join(dir, "tasks.bolt"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	set, err := local.New(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Migrate(context.Background()); err != nil {
		log.Fatal(err)
	}
	return s, func() {
		if err := errors.Join(store.Close(), os.RemoveAll(dir)); err != nil {
			log.Print(err)
		}
	}
}

// Reminders are created and handled as Go values.
func Example() {
	s, end := open()
	defer end()
	reminders, err := typed.New[Reminder](s, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	if err := reminders.Create(ctx, "reminder-17", time.Now(), Reminder{"ann", "tea is ready"}); err != nil {
		log.Fatal(err)
	}
	err = reminders.Handle(ctx, 8, func(ctx context.Context, r Reminder, d *triggerhook.Delivery) error {
		defer stop()
		fmt.Printf("%s, attempt %d: to %s: %s\n", d.ID, d.Attempt, r.To, r.Text)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: reminder-17, attempt 1: to ann: tea is ready
}

// A Queue is made once, beside its Scheduler.
func ExampleNew() {
	s, end := open()
	defer end()
	if _, err := typed.New[Reminder](s, typed.JSON[Reminder]{}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Namespace())
	// Output: triggerhook
}

// An ID that exists is refused, as by Scheduler.Create.
func ExampleQueue_Create() {
	s, end := open()
	defer end()
	reminders, err := typed.New[Reminder](s, nil)
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		err := reminders.Create(context.Background(), "reminder-17", time.Now().Add(time.Hour), Reminder{"ann", "tea"})
		fmt.Println(err == nil, errors.Is(err, triggerhook.ErrExists))
	}
	// Output:
	// true false
	// false true
}

// Several tasks in one call, all or none, with headers of their own.
func ExampleQueue_Task() {
	s, end := open()
	defer end()
	reminders, err := typed.New[Reminder](s, nil)
	if err != nil {
		log.Fatal(err)
	}
	var all []*triggerhook.Task
	for _, to := range []string{"ann", "bob"} {
		t, err := reminders.Task("tea-"+to, time.Now().Add(time.Hour), Reminder{to, "tea"})
		if err != nil {
			log.Fatal(err)
		}
		t.Headers = map[string]string{"tenant": "house"}
		all = append(all, t)
	}
	if err := s.Create(context.Background(), all...); err != nil {
		log.Fatal(err)
	}
	info, err := s.Get(context.Background(), "tea-bob")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Headers["tenant"], string(info.Payload))
	// Output: house {"To":"bob","Text":"tea"}
}

// The text of a reminder changes, and it comes an hour later.
func ExampleQueue_Update() {
	s, end := open()
	defer end()
	reminders, err := typed.New[Reminder](s, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, due := context.Background(), time.Date(2040, 5, 17, 18, 0, 0, 0, time.UTC)
	if err := reminders.Create(ctx, "reminder-17", due, Reminder{"ann", "tea"}); err != nil {
		log.Fatal(err)
	}
	if err := reminders.Update(ctx, "reminder-17", due.Add(time.Hour), Reminder{"ann", "coffee"}); err != nil {
		log.Fatal(err)
	}
	info, err := s.Get(ctx, "reminder-17")
	if err != nil {
		log.Fatal(err)
	}
	r, err := reminders.Value(&info.Task)
	fmt.Println(info.Due.Format(time.TimeOnly), r.Text, err)
	// Output: 19:00:00 coffee <nil>
}

// A producer that repeats its call makes no second task.
func ExampleQueue_Upsert() {
	s, end := open()
	defer end()
	reminders, err := typed.New[Reminder](s, nil)
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		done, err := reminders.Upsert(context.Background(), triggerhook.Keep, "reminder-17", time.Now().Add(time.Hour), Reminder{"ann", "tea"})
		fmt.Println(done, err)
	}
	// Output:
	// created <nil>
	// kept <nil>
}

// The values of tasks that List yields.
func ExampleQueue_Value() {
	s, end := open()
	defer end()
	reminders, err := typed.New[Reminder](s, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := reminders.Create(ctx, "reminder-17", time.Now().Add(time.Hour), Reminder{"ann", "tea"}); err != nil {
		log.Fatal(err)
	}
	for info, err := range s.List(ctx, triggerhook.Filter{IDPrefix: "reminder-"}) {
		if err != nil {
			log.Fatal(err)
		}
		r, err := reminders.Value(&info.Task)
		fmt.Println(info.ID, r.To, err)
	}
	// Output: reminder-17 ann <nil>
}

// A task that exists if and only if the transaction of its caller commits. It needs durable.NewMySQL.
func ExampleQueue_CreateTx() {
	s, end := open()
	defer end()
	reminders, err := typed.New[Reminder](s, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = reminders.CreateTx(context.Background(), &sql.Tx{}, "reminder-17", time.Now().Add(time.Hour), Reminder{"ann", "tea"})
	fmt.Println(errors.Is(err, triggerhook.ErrUnsupported))
	// Output: true
}

// A payload that is no Reminder does not reach the handler. The task fails, and stays.
func ExampleQueue_Handle() {
	s, end := open()
	defer end()
	reminders, err := typed.New[Reminder](s, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	for id, payload := range map[string]string{"a": `{"To":"ann"}`, "b": `[]`} {
		if err := s.Create(ctx, &triggerhook.Task{ID: id, Due: time.Now(), Payload: []byte(payload)}); err != nil {
			log.Fatal(err)
		}
	}
	err = reminders.Handle(ctx, 1, func(ctx context.Context, r Reminder, d *triggerhook.Delivery) error {
		defer stop()
		fmt.Println(d.ID, r.To)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = s.Get(context.Background(), "b")
	fmt.Println("b:", err)
	// Output:
	// a ann
	// b: <nil>
}

// The default codec, by hand: what a test of another language's producer compares with.
func ExampleJSON() {
	var t triggerhook.Task
	codec := typed.JSON[Reminder]{}
	if err := codec.Encode(&t, Reminder{"ann", "tea"}); err != nil {
		log.Fatal(err)
	}
	r, err := codec.Decode(&t)
	fmt.Println(string(t.Payload), r.To, err)
	// Output: {"To":"ann","Text":"tea"} ann <nil>
}

// words is a Codec of the caller's own.
type words struct{}

func (words) Encode(t *triggerhook.Task, v string) error {
	t.Payload = []byte(base64.StdEncoding.EncodeToString([]byte(v)))
	return nil
}

func (words) Decode(t *triggerhook.Task) (string, error) {
	v, err := base64.StdEncoding.DecodeString(string(t.Payload))
	return string(v), err
}

// A codec is two methods. One for protocol buffers calls proto.Marshal and proto.Unmarshal here.
func ExampleCodec() {
	s, end := open()
	defer end()
	q, err := typed.New[string](s, words{})
	if err != nil {
		log.Fatal(err)
	}
	t, err := q.Task("a", time.Now(), "tea")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(t.Payload))
	// Output: dGVh
}
