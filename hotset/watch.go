package hotset

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/task"
)

const (
	// pingAfter is how long a subscription may hear nothing before it asks whether its server is
	// there. Without an answer for as long once more it connects anew.
	pingAfter = 10 * time.Second
	// proof is how long a server has to answer its subscriber once a call has failed. After
	// that the subscriber connects anew: a needless connection costs less time than a failover.
	proof = 500 * time.Millisecond
	// closing is how long listen waits for the end of a subscription. It takes no time, unless
	// the server hangs while the subscription connects.
	closing = 100 * time.Millisecond
)

// Watch implements Set. It subscribes to the channels of all partitions on one
// connection, and connects and subscribes anew when that fails. It asks whether its server
// is there when it has heard nothing for pingAfter, and when a call fails. It subscribes anew when
// another generation becomes current, because that may be on another server though its own still
// answers. It returns an error that connecting again cannot mend: the server refuses it, or
// the client is closed.
func (r *Redis) Watch(ctx context.Context, w task.Watcher) error {
	channels := make([]string, len(r.keys))
	for p, k := range r.keys {
		channels[p] = k.wake()
	}
	for wait := 50 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, time.Second) {
		began := time.Now()
		err := r.listen(ctx, channels, w)
		if ctx.Err() == nil && (errors.Is(err, task.ErrRefused) || errors.Is(err, task.ErrClosed)) {
			return fmt.Errorf("watch %s: %w", channels[0], err)
		}
		if time.Since(began) > pingAfter {
			wait = 50 * time.Millisecond
		}
		rest(ctx, wait)
	}
	return nil
}

// rest waits for d, or for the end of ctx.
func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// listen subscribes once, and passes on what it hears until the connection fails or ctx
// ends. Its goroutine ends with the connection.
func (r *Redis) listen(ctx context.Context, channels []string, w task.Watcher) error {
	sub := r.rdb.Subscribe(ctx) // to nothing yet, which is no I/O
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	done, heard, ended := make(chan error, 2), make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer func() {
			stop()
			close(ended)
			_ = sub.Close()
		}()
		done <- r.hear(ctx, sub, channels, w, heard)
	}()
	go func() {
		if r.doubt(ctx, sub, heard, ended) {
			done <- errDoubted // before hear says that sub is closed
			_ = sub.Close()
		}
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(closing):
		return ctx.Err()
	}
}

// errDoubted: the server of a subscription does not answer it, or another server may have
// the current generation.
var errDoubted = errors.New("the subscription is given up")

// doubt returns true once sub is to be given up: another generation is current, or a call has
// failed and the server of sub does not answer either. It returns false when the subscription
// has ended.
func (r *Redis) doubt(ctx context.Context, sub *redis.PubSub, heard, ended <-chan struct{}) bool {
	for {
		select {
		case <-ended:
			return false
		case <-r.moved:
			return true
		case <-r.doubted:
		}
		select {
		case <-heard: // from before the question
		default:
		}
		if sub.Ping(ctx) != nil {
			return true
		}
		late := time.NewTimer(proof)
		select {
		case <-ended:
		case <-heard:
		case <-late.C:
			return true
		}
		late.Stop()
	}
}

// signal puts an element into c, unless one is there.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// hear tells w of each message and each subscription that the server has confirmed. It puts
// an element into heard whenever the server has said anything.
func (r *Redis) hear(ctx context.Context, sub *redis.PubSub, channels []string, w task.Watcher, heard chan<- struct{}) error {
	if err := sub.Subscribe(ctx, channels...); err != nil {
		return r.heard(err)
	}
	for asked := false; ; {
		m, err := sub.ReceiveTimeout(ctx, pingAfter)
		var late net.Error
		switch {
		case errors.As(err, &late) && late.Timeout() && !asked:
			if err := sub.Ping(ctx); err != nil {
				return r.heard(err)
			}
			asked = true
			continue
		case err != nil:
			return r.heard(err)
		}
		asked = false
		signal(heard)
		switch m := m.(type) {
		case *redis.Pong:
		case *redis.Message:
			if !r.tell(w, slices.Index(channels, m.Channel), m.Payload) {
				signal(w.Wake)
			}
		default:
			signal(w.Wake)
		}
	}
}

// How a message of remove.lua and of elect.lua begins, and what horizon.lua says. The others are times.
const (
	removedMark = "removed"
	keptMark    = "kept:"
	quietMark   = "quiet"
)

// tell tells w of a message of partition p, and reports whether it was one that need wake no claimer.
func (r *Redis) tell(w task.Watcher, p int, message string) bool {
	if gone, is := strings.CutPrefix(message, removedMark); is {
		tellRemoved(w, p, gone)
		return true
	}
	if kept, is := strings.CutPrefix(message, keptMark); is {
		r.tellKept(w, kept)
		return true
	}
	if message != quietMark {
		return false
	}
	if w.Quiet != nil && p >= 0 {
		w.Quiet(p)
	}
	return true
}

// tellKept tells w of the roles in such a message, if their holder works with this process's durable store. What cannot be read is not told.
func (r *Redis) tellKept(w task.Watcher, text string) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) < 3 || w.Kept == nil {
		return
	}
	r.mu.Lock()
	identity := r.expected.identity
	r.mu.Unlock()
	ms, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil || parts[0] != identity {
		return
	}
	var roles []task.Role
	for role := range strings.SplitSeq(parts[2], ",") {
		roles = append(roles, task.Role(role))
	}
	w.Kept(roles, time.Duration(ms)*time.Millisecond)
}

// tellRemoved tells w of the members in such a message. What cannot be read is not told.
func tellRemoved(w task.Watcher, p int, text string) {
	var refs []task.Ref
	for text != "" {
		length, rest, _ := strings.Cut(text, ":")
		n, err := strconv.Atoi(length)
		if err != nil || n < 0 || n > len(rest) {
			return
		}
		ref, err := parseMember(rest[:n])
		if err != nil {
			return
		}
		refs, text = append(refs, ref), rest[n:]
	}
	if w.Removed != nil && p >= 0 && len(refs) > 0 {
		w.Removed(p, refs)
	}
}

// heard adds the sentinel to an error of a subscription.
func (r *Redis) heard(err error) error {
	if kind := r.kindOf(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}
