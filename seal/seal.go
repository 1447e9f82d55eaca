// Package seal has a codec for package typed that encrypts payloads with AES-256-GCM, so that
// neither MySQL, Redis nor their backups hold them in the clear.
//
// The key comes from a Ring, which has an ID for each key. The ID stands in the task's header
// KeyHeader. To rotate, give all processes a Ring that also has the new key, then a Ring in which the
// new key is current, and last, once no task is left that was sealed with it, one without the old key.
//
// A sealed payload belongs to its task: it opens only under the task's ID and key ID. IDs, due times, headers and
// the length of a payload stay in the clear.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/typed"
)

// KeyHeader is the header that holds the ID of the key with which a task is sealed.
const KeyHeader = "seal-key"

// Overhead is how many bytes longer a sealed payload is: a nonce of 12 bytes and a tag of 16.
const Overhead = 28

var (
	// ErrUnknownKey is in the error of a task that names a key that the Ring does not have, or that names no key.
	ErrUnknownKey = errors.New("the key is not in the ring")
	// ErrForged is in the error of a task whose payload, ID or key is not that with which it was sealed.
	ErrForged = errors.New("the payload was not sealed for this task with this key")
)

// Ring holds keys by their IDs, one of which is current. It does not change, and any number of goroutines may use it.
type Ring struct {
	current string
	keys    map[string]cipher.AEAD
}

// NewRing returns a Ring whose key current seals, and whose keys all open. A key has 32 bytes,
// from crypto/rand, and an ID of 1 to 64 bytes that is never used for another key. One key may seal 2^32 (four
// billion) tasks, because nonces are random. triggerhook.ErrInvalid: a key or an ID breaks a rule, or current is not among keys.
func NewRing(current string, keys map[string][]byte) (*Ring, error) {
	r := &Ring{current: current, keys: make(map[string]cipher.AEAD, len(keys))}
	for id, key := range keys {
		if id == "" || len(id) > 64 {
			return nil, fmt.Errorf("%w: key id %q has %d bytes, want 1 to 64", triggerhook.ErrInvalid, id, len(id))
		}
		if len(key) != 32 {
			return nil, fmt.Errorf("%w: key %q has %d bytes, want 32", triggerhook.ErrInvalid, id, len(key))
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", id, err)
		}
		if r.keys[id], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("key %q: %w", id, err)
		}
	}
	if r.keys[current] == nil {
		return nil, fmt.Errorf("%w: the current key %q is not among the keys", triggerhook.ErrInvalid, current)
	}
	return r, nil
}

// codec seals what inner has encoded.
type codec[T any] struct {
	ring  *Ring
	inner typed.Codec[T]
}

// Codec returns a typed.Codec that seals what inner encodes; a nil inner is typed.JSON. Its
// Decode answers ErrUnknownKey, ErrForged, or inner's error. triggerhook.ErrInvalid: ring is nil.
func Codec[T any](ring *Ring, inner typed.Codec[T]) (typed.Codec[T], error) {
	if ring == nil {
		return nil, fmt.Errorf("%w: ring is nil", triggerhook.ErrInvalid)
	}
	if inner == nil {
		inner = typed.JSON[T]{}
	}
	return codec[T]{ring, inner}, nil
}

// Encode implements typed.Codec.
func (c codec[T]) Encode(t *triggerhook.Task, v T) error {
	if err := c.inner.Encode(t, v); err != nil {
		return err
	}
	if t.Headers == nil {
		t.Headers = map[string]string{}
	}
	id := c.ring.current
	t.Headers[KeyHeader] = id
	t.Payload = c.ring.keys[id].Seal(nil, nil, t.Payload, bound(t.ID, id))
	return nil
}

// Decode implements typed.Codec.
func (c codec[T]) Decode(t *triggerhook.Task) (none T, err error) {
	id := t.Headers[KeyHeader]
	key := c.ring.keys[id]
	if key == nil {
		return none, fmt.Errorf("%w: task %q names key %q", ErrUnknownKey, t.ID, id)
	}
	opened := *t
	if opened.Payload, err = key.Open(nil, nil, t.Payload, bound(t.ID, id)); err != nil {
		return none, fmt.Errorf("%w: task %q, key %q", ErrForged, t.ID, id)
	}
	return c.inner.Decode(&opened)
}

// bound is what a sealed payload is bound to, the additional data of the AEAD: the version of this
// format, the key's ID with its length, and the task's ID.
func bound(task, key string) []byte {
	return fmt.Appendf(nil, "triggerhook seal 1\x00%d\x00%s%s", len(key), key, task)
}
