package hotset

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// timed is what a script answered, and a reading of its server's clock from after it (us), 0 if there is none.
type timed struct {
	script []any
	doneUS int64
}

// runTimed is run, and has the answer carry a later reading of the partition's clock (doneUS). Since Redis 7.2 the time stands still while a script runs,
// so the clock is read by a command of its own, behind the script in a pipeline. Without that reading the answer is as good as that of run.
func (r *Redis) runTimed(ctx context.Context, p int, verb string, batches []string, args ...any) (*reply, error) {
	caller, identity := r.caller(p)
	k := append(r.keys[p].fixed[:len(r.keys[p].fixed):len(r.keys[p].fixed)], batches...)
	sent := time.Now()
	v, err := await(ctx, r.gate, !crowd[verb], func() (timed, error) { return r.pipeline(ctx, verb, k, append([]any{caller}, args...)) })
	a, err := r.read(p, verb, identity, sent, v.script, err)
	if v.doneUS >= a.asOf.TimeUS { // otherwise the clock was set back meanwhile, or its reading failed
		a.doneUS = v.doneUS
	}
	return a, err
}

// pipeline runs a script, and reads the clock behind it. If the server does not know the script yet, both go once more.
func (r *Redis) pipeline(ctx context.Context, verb string, keys []string, args []any) (timed, error) {
	pipe := r.rdb.Pipeline()
	script, clock := r.scripts[verb].EvalSha(ctx, pipe, keys, args...), pipe.Do(ctx, r.askTime(keys[0])...)
	_, _ = pipe.Exec(ctx) // the error is that of a command
	if redis.HasErrorPrefix(script.Err(), "NOSCRIPT") {
		script = r.scripts[verb].Run(ctx, r.rdb, keys, args...)
		clock = r.rdb.Do(ctx, r.askTime(keys[0])...)
	}
	v, err := script.Slice()
	return timed{v, timeOf(clock)}, err
}

// askTime is the command that asks the server of a key for its time. A cluster's client sends TIME to any server, because it names no key.
func (r *Redis) askTime(key string) []any {
	if r.single {
		return []any{"TIME"}
	}
	return []any{"EVAL", "return redis.call('TIME')", 1, key}
}

// timeOf is the time that TIME answered (us), 0 if it has not.
func timeOf(cmd *redis.Cmd) int64 {
	both, err := cmd.StringSlice()
	if err != nil || len(both) != 2 {
		return 0
	}
	s, err1 := strconv.ParseInt(both[0], 10, 64)
	us, err2 := strconv.ParseInt(both[1], 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return s*1_000_000 + us
}
