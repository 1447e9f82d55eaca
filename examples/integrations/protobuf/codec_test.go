package protobuf_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/examples/integrations/protobuf"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/typed"
)

// A message of your own stands where structpb.Struct does, which needs no generated code.
func Example() {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := bolt.Open(filepath.Join(dir, "tasks.bolt"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	set, err := local.New(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if err := s.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	reminders, err := typed.New(s, typed.Codec[*structpb.Struct](protobuf.Codec[*structpb.Struct]{}))
	if err != nil {
		log.Fatal(err)
	}
	tea, err := structpb.NewStruct(map[string]any{"to": "ada@example.com", "text": "tea is ready"})
	if err != nil {
		log.Fatal(err)
	}
	if err := reminders.Create(ctx, "tea", time.Now(), tea); err != nil {
		log.Fatal(err)
	}
	err = reminders.Handle(ctx, 1, func(_ context.Context, r *structpb.Struct, d *triggerhook.Delivery) error {
		fmt.Println(d.ID, "for", r.Fields["to"].GetStringValue()+":", r.Fields["text"].GetStringValue())
		stop()
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: tea for ada@example.com: tea is ready
}

func TestMessagesComeBackWhole(t *testing.T) {
	for _, d := range []time.Duration{0, time.Second, -3 * time.Hour} {
		task, want := &triggerhook.Task{ID: "a"}, durationpb.New(d)
		if err := (protobuf.Codec[*durationpb.Duration]{}).Encode(task, want); err != nil {
			t.Fatal(err)
		}
		got, err := (protobuf.Codec[*durationpb.Duration]{}).Decode(task)
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%v came back as %v, %v", want, got, err)
		}
		if bytes.Contains(task.Payload, []byte("Duration")) {
			t.Errorf("the payload %q names its message, which the header does", task.Payload)
		}
	}
}

// A Timestamp has the same fields as a Duration, so its bytes alone do not show that it is none.
func TestAnotherMessageIsRefused(t *testing.T) {
	stamp := &triggerhook.Task{ID: "a"}
	if err := (protobuf.Codec[*timestamppb.Timestamp]{}).Encode(stamp, timestamppb.New(time.Unix(5, 0))); err != nil {
		t.Fatal(err)
	}
	for name, task := range map[string]*triggerhook.Task{
		"another message":     stamp,
		"no header":           {ID: "b", Payload: stamp.Payload},
		"bytes of no message": {ID: "c", Payload: []byte{0xff}, Headers: map[string]string{"protobuf-message": "google.protobuf.Duration"}},
	} {
		if got, err := (protobuf.Codec[*durationpb.Duration]{}).Decode(task); err == nil {
			t.Errorf("%s was decoded as %v", name, got)
		}
	}
	task := &triggerhook.Task{ID: "d"}
	if err := (protobuf.Codec[*durationpb.Duration]{}).Encode(task, nil); err == nil {
		t.Errorf("a nil message was encoded: %v", err)
	}
}
