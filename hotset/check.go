package hotset

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/task"
)

// hearing is how long a check waits for the message that it has sent.
const hearing = 2 * time.Second

// Check implements Set. It subscribes to p's channel, tries each command that the scripts
// use, EVAL and EVALSHA too, on a key of its own under p's hash tag, and waits until it
// hears the message that it has published. Then it looks at the server's settings, as State
// does. One error names everything that is refused.
func (r *Redis) Check(ctx context.Context, p int) error {
	message := rand.Text()
	sub := r.rdb.Subscribe(ctx)                        // to nothing yet, which is no I/O
	defer func() { go func() { _ = sub.Close() }() }() // it may wait for a server that hangs
	_, err := await(ctx, r.gate, true, func() (any, error) { return r.subscribe(ctx, sub, p) })
	subscribed := err == nil
	if err != nil && !errors.Is(err, task.ErrRefused) {
		return fmt.Errorf("check partition %d: %w", p, err)
	}
	err = errors.Join(err, r.tryAll(ctx, p, message))
	if subscribed && err == nil {
		_, err = await(ctx, nil, true, func() (any, error) { return nil, r.await(ctx, sub, p, message) })
	}
	if err != nil {
		return fmt.Errorf("check partition %d: %w", p, err)
	}
	_, err = r.State(ctx, p)
	return err
}

// subscribe subscribes to p's channel, and waits until the server says so.
func (r *Redis) subscribe(ctx context.Context, sub *redis.PubSub, p int) (any, error) {
	channel := r.keys[p].wake()
	err := sub.Subscribe(ctx, channel)
	if err == nil {
		_, err = sub.ReceiveTimeout(ctx, hearing)
	}
	if err != nil {
		return nil, fmt.Errorf("SUBSCRIBE to channel %s: %w", channel, r.withKind(err))
	}
	return nil, nil
}

// await waits until sub hears message.
func (r *Redis) await(ctx context.Context, sub *redis.PubSub, p int, message string) error {
	for end := time.Now().Add(hearing); ; {
		m, err := sub.ReceiveTimeout(ctx, max(time.Millisecond, time.Until(end)))
		if err != nil {
			return fmt.Errorf("%w: what was published to channel %s was not heard there within %s: %w", task.ErrUnavailable, r.keys[p].wake(), hearing, err)
		}
		if got, is := m.(*redis.Message); is && got.Payload == message {
			return nil
		}
	}
}

// tryAll runs check.lua both ways in which scripts are run.
func (r *Redis) tryAll(ctx context.Context, p int, message string) error {
	k := r.keys[p]
	keys := append([]string{k.check(), k.agent(), k.batch("check")}, k.fixed...)
	var last error
	for _, way := range []struct {
		name string
		run  func(context.Context, redis.Scripter, []string, ...any) *redis.Cmd
	}{{"EVAL", r.scripts["check"].Eval}, {"EVALSHA", r.scripts["check"].EvalSha}} {
		v, err := await(ctx, r.gate, true, func() ([]any, error) { return way.run(ctx, r.rdb, keys, k.wake(), message).Slice() })
		if err != nil {
			if kind := r.kindOf(err); kind != nil {
				err = fmt.Errorf("%w: %w", kind, err)
			}
			last = errors.Join(last, fmt.Errorf("%s of a script on keys %s*: %w", way.name, k.prefix, err))
			continue
		}
		if err := r.judge(&reply{verb: "check", rest: v}); err != nil {
			return errors.Join(last, err)
		}
	}
	return last
}

var (
	identity  = regexp.MustCompile(`(?ms)^run_id:\w+.*^master_replid:\w+`)
	clustered = regexp.MustCompile(`(?m)^cluster_enabled:1`)
)

// judge returns what is wrong with the server, by a reply of check.lua.
func (r *Redis) judge(a *reply) error {
	a.str() // status
	a.int() // time
	a.int() // no generation
	server, cluster, failed := a.str(), a.str(), a.strs()
	if a.err != nil {
		return a.err
	}
	if r.single && clustered.MatchString(cluster) {
		return r.kindOf(errMoved)
	}
	if server != "" && !identity.MatchString(server) {
		return fmt.Errorf("%w: INFO names no run_id or no master_replid, by which a server is known that lost its data", task.ErrRefused)
	}
	return judgeCommands(failed)
}

// errMoved is what a node of a cluster answers for a key that is on another node.
var errMoved = commandError("MOVED")

// judgeCommands returns what is wrong, by commands and their errors in turn. A server that
// is out of memory, and one that lacks sections of INFO (miniredis), is not refused. An
// error that will pass, as in a failover, keeps its own kind.
func judgeCommands(failed []string) error {
	var refused []string
	var why, other error
	for i := 0; i+1 < len(failed); i += 2 {
		err := commandError(failed[i+1])
		kind := kindOf(err)
		switch {
		case kind == task.ErrTooLarge || failed[i] == "INFO" && strings.HasSuffix(failed[i+1], "is not supported"):
		case kind == task.ErrRefused:
			if why == nil {
				why = err
			}
			if !slices.Contains(refused, failed[i]) {
				refused = append(refused, failed[i])
			}
		case kind != nil:
			other = fmt.Errorf("%w: %s: %w", kind, failed[i], err)
		default:
			other = fmt.Errorf("%s: %w", failed[i], err)
		}
	}
	if len(refused) > 0 {
		return fmt.Errorf("%w: scripts may not use %s: %w", task.ErrRefused, strings.Join(refused, ", "), why)
	}
	return other
}

// commandError is an error of a command inside a script.
type commandError string

// Error is what the command answered.
func (e commandError) Error() string { return string(e) }

// RedisError marks it as an error that a server has answered.
func (commandError) RedisError() {}
