package seal_test

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/seal"
	"github.com/triggerhook/triggerhook/typed"
)

// key is one of 32 bytes, for tests.
func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func ring(t *testing.T, current string, keys map[string][]byte) *seal.Ring {
	t.Helper()
	r, err := seal.NewRing(current, keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func codec(t *testing.T, r *seal.Ring) typed.Codec[string] {
	t.Helper()
	c, err := seal.Codec[string](r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sealed is a task that c has sealed a card number into.
func sealed(t *testing.T, c typed.Codec[string]) *triggerhook.Task {
	t.Helper()
	x := &triggerhook.Task{ID: "charge-17", Due: time.Unix(1, 0), Headers: map[string]string{"tenant": "a"}}
	if err := c.Encode(x, "4000 1234"); err != nil {
		t.Fatal(err)
	}
	return x
}

func TestASealedPayloadOpensAndShowsNothing(t *testing.T) {
	c := codec(t, ring(t, "k1", map[string][]byte{"k1": key(1)}))
	a, b := sealed(t, c), sealed(t, c)
	if bytes.Contains(a.Payload, []byte("4000")) || len(a.Payload) != len(`"4000 1234"`)+seal.Overhead || bytes.Equal(a.Payload, b.Payload) {
		t.Errorf("payloads %q and %q, want two different ones of %d bytes", a.Payload, b.Payload, len(`"4000 1234"`)+seal.Overhead)
	}
	if !maps.Equal(a.Headers, map[string]string{"tenant": "a", seal.KeyHeader: "k1"}) {
		t.Errorf("headers %v", a.Headers)
	}
	before := bytes.Clone(a.Payload)
	for range 2 { // a task is delivered more than once
		if v, err := c.Decode(a); err != nil || v != "4000 1234" || !bytes.Equal(a.Payload, before) {
			t.Errorf("Decode: %q, %v, want the value, and the payload as it was", v, err)
		}
	}
	bare := &triggerhook.Task{ID: "b"}
	if err := c.Encode(bare, ""); err != nil || bare.Headers[seal.KeyHeader] != "k1" {
		t.Errorf("Encode into a task without headers: %v, %v", bare.Headers, err)
	}
}

// A process with the new ring opens what was sealed before, and seals with the new key.
func TestKeysRotate(t *testing.T) {
	old := codec(t, ring(t, "k1", map[string][]byte{"k1": key(1)}))
	both := codec(t, ring(t, "k2", map[string][]byte{"k1": key(1), "k2": key(2)}))
	fresh := codec(t, ring(t, "k2", map[string][]byte{"k2": key(2)}))
	first, second := sealed(t, old), sealed(t, both)
	for name, c := range map[string]struct {
		codec typed.Codec[string]
		task  *triggerhook.Task
		want  error
	}{
		"both open the old":      {both, first, nil},
		"both open the new":      {both, second, nil},
		"the fresh open the new": {fresh, second, nil},
		"not the old":            {fresh, first, seal.ErrUnknownKey},
		"the old not the new":    {old, second, seal.ErrUnknownKey},
	} {
		if v, err := c.codec.Decode(c.task); !errors.Is(err, c.want) || (err == nil) != (v == "4000 1234") {
			t.Errorf("%s: %q, %v, want %v", name, v, err, c.want)
		}
	}
}

func TestWhatWasChangedDoesNotOpen(t *testing.T) {
	c := codec(t, ring(t, "k1", map[string][]byte{"k1": key(1), "k2": key(2), "same": key(1)}))
	for name, change := range map[string]struct {
		do   func(x *triggerhook.Task)
		want error
	}{
		"a bit":                      {func(x *triggerhook.Task) { x.Payload[20] ^= 1 }, seal.ErrForged},
		"cut off":                    {func(x *triggerhook.Task) { x.Payload = x.Payload[:10] }, seal.ErrForged},
		"empty":                      {func(x *triggerhook.Task) { x.Payload = nil }, seal.ErrForged},
		"of another task":            {func(x *triggerhook.Task) { x.ID = "charge-18" }, seal.ErrForged},
		"another key":                {func(x *triggerhook.Task) { x.Headers[seal.KeyHeader] = "k2" }, seal.ErrForged},
		"another name of its key":    {func(x *triggerhook.Task) { x.Headers[seal.KeyHeader] = "same" }, seal.ErrForged},
		"a key that is unknown":      {func(x *triggerhook.Task) { x.Headers[seal.KeyHeader] = "k9" }, seal.ErrUnknownKey},
		"no key":                     {func(x *triggerhook.Task) { delete(x.Headers, seal.KeyHeader) }, seal.ErrUnknownKey},
		"neither sealed nor a key":   {func(x *triggerhook.Task) { x.Headers, x.Payload = nil, []byte(`"clear"`) }, seal.ErrUnknownKey},
		"another due time is no lie": {func(x *triggerhook.Task) { x.Due = time.Unix(2, 0) }, nil}, // Reschedule changes it
	} {
		x := sealed(t, c)
		change.do(x)
		v, err := c.Decode(x)
		if !errors.Is(err, change.want) || (err != nil && v != "") {
			t.Errorf("%s: %q, %v, want %v", name, v, err, change.want)
		}
		if err != nil && !strings.Contains(err.Error(), x.ID) {
			t.Errorf("%s: %v does not name the task", name, err)
		}
	}
}

// The bounds between the parts of what a payload is bound to do not move.
func TestIDsThatRunTogetherAreTwo(t *testing.T) {
	c := codec(t, ring(t, "k", map[string][]byte{"k": key(1), "kc": key(1)}))
	x := &triggerhook.Task{ID: "charge"}
	if err := c.Encode(x, "v"); err != nil {
		t.Fatal(err)
	}
	x.ID, x.Headers[seal.KeyHeader] = "harge", "kc"
	if _, err := c.Decode(x); !errors.Is(err, seal.ErrForged) {
		t.Errorf("Decode: %v, want ErrForged", err)
	}
}

func TestBadRingsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		current string
		keys    map[string][]byte
	}{
		"no keys":              {"k1", nil},
		"current not among":    {"k2", map[string][]byte{"k1": key(1)}},
		"a short key":          {"k1", map[string][]byte{"k1": key(1)[:31]}},
		"a key of AES-128":     {"k1", map[string][]byte{"k1": key(1)[:16]}},
		"an empty id":          {"", map[string][]byte{"": key(1)}},
		"an id of 65 bytes":    {strings.Repeat("k", 65), map[string][]byte{strings.Repeat("k", 65): key(1)}},
		"a bad one beside one": {"k1", map[string][]byte{"k1": key(1), "k2": nil}},
	} {
		if _, err := seal.NewRing(c.current, c.keys); !errors.Is(err, triggerhook.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		} else if strings.Contains(err.Error(), string(key(1)[:16])) {
			t.Errorf("%s: %v shows a key", name, err)
		}
	}
	if _, err := seal.Codec[int](nil, nil); !errors.Is(err, triggerhook.ErrInvalid) {
		t.Errorf("Codec without a ring: %v, want ErrInvalid", err)
	}
}
