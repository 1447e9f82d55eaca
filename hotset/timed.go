package hotset

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// timed is what a script answered, and what the clock script that came after it on the same connection did.
type timed struct{ script, clock []any }

// runTimed is run, and has the answer carry a later reading of the partition's clock (doneUS). Since Redis 7.2 the time stands still while a script runs,
// so the script that reads the clock comes behind it in one pipeline. Without that reading the answer is as good as that of run.
func (r *Redis) runTimed(ctx context.Context, p int, verb string, batches []string, args ...any) (*reply, error) {
	caller, identity := r.caller(p)
	fixed := r.keys[p].fixed[:len(r.keys[p].fixed):len(r.keys[p].fixed)]
	sent := time.Now()
	v, err := await(ctx, r.gate, !crowd[verb], func() (timed, error) {
		return r.pipeline(ctx, verb, append(fixed, batches...), fixed, append([]any{caller}, args...), caller)
	})
	a, err := r.read(p, verb, identity, sent, v.script, err)
	if err == nil && len(v.clock) > 0 {
		done := &reply{verb: "clock", rest: v.clock}
		if status, us := done.str(), done.int(); status == "OK" && us >= a.asOf.TimeUS {
			a.doneUS = us
		}
	}
	return a, err
}

// pipeline runs a script with those keys and args, and the clock script behind it. A server that does not know one of them yet gets each in a call of its own.
func (r *Redis) pipeline(ctx context.Context, verb string, keys, fixed []string, args []any, caller string) (timed, error) {
	pipe := r.rdb.Pipeline()
	script, clock := r.scripts[verb].EvalSha(ctx, pipe, keys, args...), r.scripts["clock"].EvalSha(ctx, pipe, fixed, caller)
	_, _ = pipe.Exec(ctx) // the error is that of a command
	again := redis.HasErrorPrefix(script.Err(), "NOSCRIPT")
	if again {
		script = r.scripts[verb].Run(ctx, r.rdb, keys, args...)
	}
	if again || redis.HasErrorPrefix(clock.Err(), "NOSCRIPT") {
		clock = r.scripts["clock"].Run(ctx, r.rdb, fixed, caller)
	}
	v, err := script.Slice()
	if err != nil {
		return timed{}, err
	}
	late, _ := clock.Slice() // none if it failed: the script's own reading is as true
	return timed{v, late}, nil
}
