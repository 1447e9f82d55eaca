// Package protobuf is an example of a codec for package typed: tasks that hold Protocol Buffers messages.
package protobuf

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/typed"
)

// header names the message of a payload. Bytes of one message are often valid bytes of another, so that a payload
// of the wrong type would be decoded without an error.
const header = "protobuf-message"

// Codec encodes messages of the type M, which is a pointer, as generated code has it: Codec[*mail.Reminder]. Its zero value works.
type Codec[M proto.Message] struct{}

var _ typed.Codec[proto.Message] = Codec[proto.Message]{}

// Encode implements typed.Codec.
func (Codec[M]) Encode(t *triggerhook.Task, v M) (err error) {
	if any(v) == nil || !v.ProtoReflect().IsValid() {
		return fmt.Errorf("the message is nil")
	}
	if t.Payload, err = proto.Marshal(v); err != nil {
		return err
	}
	if t.Headers == nil {
		t.Headers = map[string]string{}
	}
	t.Headers[header] = string(v.ProtoReflect().Descriptor().FullName())
	return nil
}

// Decode implements typed.Codec.
func (Codec[M]) Decode(t *triggerhook.Task) (v M, err error) {
	if any(v) == nil {
		return v, fmt.Errorf("%T is an interface, want the type of a message", &v)
	}
	empty := v.ProtoReflect().New()
	if is, want := t.Headers[header], string(empty.Descriptor().FullName()); is != want {
		return v, fmt.Errorf("the payload is a message %q, want %q", is, want)
	}
	m := empty.Interface()
	if err := proto.Unmarshal(t.Payload, m); err != nil {
		return v, err
	}
	return m.(M), nil
}
