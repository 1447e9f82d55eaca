package hotset

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/task"
)

const (
	// quiet is for how long a subscription hears nothing until it asks whether its server
	// is there; with no answer for as long once more it connects anew.
	quiet = 10 * time.Second
	// proof is how long a server that is doubted has to answer its subscriber, which connects
	// anew after that. A failover takes longer than a needless new connection.
	proof = 500 * time.Millisecond
	// closing is how long the end of a subscription is waited for. It takes no time, unless
	// its server hangs while it connects.
	closing = 100 * time.Millisecond
)

// Watch implements Set. It subscribes to the channels of all partitions on one
// connection, and connects and subscribes anew when that fails. It asks whether its server
// is there when it has heard nothing for quiet, and when a call fails; and subscribes anew when
// another generation is current, which may be on another server, though its own still answers. It
// returns what connecting again cannot mend: that the server refuses it, or that the client
// is closed.
func (r *Redis) Watch(ctx context.Context, wake chan<- struct{}) error {
	channels := make([]string, len(r.keys))
	for p, k := range r.keys {
		channels[p] = k.wake()
	}
	for wait := 50 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, time.Second) {
		began := time.Now()
		err := r.listen(ctx, channels, wake)
		if ctx.Err() == nil && (errors.Is(err, task.ErrRefused) || errors.Is(err, task.ErrClosed)) {
			return fmt.Errorf("watch %s: %w", channels[0], err)
		}
		if time.Since(began) > quiet {
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
func (r *Redis) listen(ctx context.Context, channels []string, wake chan<- struct{}) error {
	sub := r.rdb.Subscribe(ctx) // to nothing yet, which is no I/O
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	done, heard, ended := make(chan error, 2), make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer func() {
			stop()
			close(ended)
			_ = sub.Close()
		}()
		done <- r.hear(ctx, sub, channels, wake, heard)
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

// errDoubted: the server of a subscription does not answer it, or another one may count.
var errDoubted = errors.New("the subscription is given up")

// doubt reports true once sub is to be given up: another generation is current, or its server,
// which is doubted, does not answer. It reports false when the subscription has ended.
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
		case <-heard: // of before
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

// note puts an element into c, unless one is there.
func note(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// hear wakes for each message and each subscription that the server has confirmed; heard
// has an element once the server has said anything.
func (r *Redis) hear(ctx context.Context, sub *redis.PubSub, channels []string, wake, heard chan<- struct{}) error {
	if err := sub.Subscribe(ctx, channels...); err != nil {
		return r.heard(err)
	}
	for asked := false; ; {
		m, err := sub.ReceiveTimeout(ctx, quiet)
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
		note(heard)
		if _, pong := m.(*redis.Pong); pong {
			continue
		}
		note(wake)
	}
}

// heard adds the sentinel to an error of a subscription.
func (r *Redis) heard(err error) error {
	if kind := r.kindOf(err); kind != nil {
		return fmt.Errorf("%w: %w", kind, err)
	}
	return err
}
