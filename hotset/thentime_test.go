package hotset_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// afterScripts is a hook that does something else when a pipeline of a script and TIME is sent.
type afterScripts func(next func() error, told *redis.TimeCmd) error

func (afterScripts) DialHook(next redis.DialHook) redis.DialHook { return next }

func (afterScripts) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h afterScripts) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		told, is := cmds[len(cmds)-1].(*redis.TimeCmd)
		if !is { // a pipeline of the client's own
			return next(ctx, cmds)
		}
		return h(func() error { return next(ctx, cmds) }, told)
	}
}

// A claim that may take what is not due yet has a reading of the clock from after it, also on a server that does not know its script yet. If
// that reading fails the claim is none the worse.
func TestAClaimAheadReadsTheClockWhenItIsDone(t *testing.T) {
	t.Parallel()
	for _, kind := range []testserver.Kind{testserver.Redis, testserver.Valkey} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			rdb := client(t, testserver.Own(t, kind).Addr)
			s := open(t, rdb, 1)
			f := warm(t, s)
			add(t, s, f, many(600))
			batches := 0
			claim := func(s *hotset.Redis, aheadLimit int) task.Batch {
				t.Helper()
				batches++
				b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: fmt.Sprint("t", batches), Limit: 100, Lease: time.Minute, Ahead: task.MaxAhead, AheadLimit: aheadLimit})
				if err != nil || len(b.Claims) != 100 {
					t.Fatalf("claimed %d, %v", len(b.Claims), err)
				}
				return b
			}
			reads := func(what string, b task.Batch) {
				t.Helper()
				if now, err := rdb.Time(t.Context()).Result(); err != nil || b.ClockUS <= b.AsOf.TimeUS || b.ClockUS > now.UnixMicro() {
					t.Errorf("%s: the clock is read at %d, want a time after %d and before %d, %v", what, b.ClockUS, b.AsOf.TimeUS, now.UnixMicro(), err)
				}
			}
			if err := rdb.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			reads("the script is not known", claim(s, 100))
			reads("the script is known", claim(s, 1))
			if b := claim(s, 0); b.ClockUS != 0 {
				t.Errorf("a claim of what is due has read the clock at %d", b.ClockUS)
			}
			refusal := errors.New("the circuit is open")
			for what, then := range map[string]struct {
				do   func(next func() error, told *redis.TimeCmd) error
				want func(b task.Batch) bool
				err  error
			}{
				"TIME fails": {func(next func() error, told *redis.TimeCmd) error {
					told.SetErr(errors.Join(next(), refusal))
					return refusal
				}, func(b task.Batch) bool { return b.ClockUS == 0 }, nil},
				"another server's TIME": {func(next func() error, told *redis.TimeCmd) error {
					err := next()
					told.SetVal(told.Val().Add(time.Minute))
					return err
				}, func(b task.Batch) bool { return b.ClockUS == 0 }, nil},
				"a clock that is set back": {func(next func() error, told *redis.TimeCmd) error {
					err := next()
					told.SetVal(told.Val().Add(-time.Minute))
					return err
				},
					func(b task.Batch) bool { return b.ClockUS > 0 && b.ClockUS < b.AsOf.TimeUS }, nil},
				"a hook that sends nothing": {func(func() error, *redis.TimeCmd) error { return refusal }, nil, refusal},
			} {
				hooked := client(t, rdb.Options().Addr)
				hooked.AddHook(afterScripts(then.do))
				s, err := hotset.NewRedis(hooked, hotset.Options{Namespace: s.Config().Namespace})
				if err != nil {
					t.Fatal(err)
				}
				b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: what, Limit: 50, Lease: time.Minute, Ahead: task.MaxAhead, AheadLimit: 1})
				if !errors.Is(err, then.err) || err == nil && (len(b.Claims) != 50 || !then.want(b)) {
					t.Errorf("%s: claimed %d as of %d, the clock is read at %d, %v; want the error %v", what, len(b.Claims), b.AsOf.TimeUS, b.ClockUS, err, then.err)
				}
			}
		})
	}
}
