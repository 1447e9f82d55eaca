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

// clockFails is a hook that has TIME fail at the end of each pipeline.
type clockFails struct{}

func (clockFails) DialHook(next redis.DialHook) redis.DialHook { return next }

func (clockFails) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (clockFails) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if last := cmds[len(cmds)-1]; last.Name() == "time" { // and not one of the client's own, when it connects
			last.SetErr(errors.New("the last command is lost"))
		}
		return err
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
			broken := client(t, rdb.Options().Addr)
			broken.AddHook(clockFails{})
			s, err := hotset.NewRedis(broken, hotset.Options{Namespace: s.Config().Namespace})
			if err != nil {
				t.Fatal(err)
			}
			if b := claim(s, 100); b.ClockUS != 0 {
				t.Errorf("a reading that failed is %d, want 0", b.ClockUS)
			}
		})
	}
}
