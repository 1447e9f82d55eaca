package hotset

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// timed is what a script answered, and the time that its server told after it (us), 0 if there is none.
type timed struct {
	script []any
	doneUS int64
}

// runThenTime is run, and has the answer carry a later reading of the partition's clock (doneUS). Since Redis 7.2 the time stands still while a
// script runs, so TIME comes behind it, in one pipeline and so on one connection. Without that reading the answer is as good as that of run.
//
// It is for a client of one server (single). TIME names no key, so that the client of a Cluster sends it anywhere.
func (r *Redis) runThenTime(ctx context.Context, p int, verb string, batches []string, args ...any) (*reply, error) {
	caller, identity := r.caller(p)
	k := append(r.keys[p].fixed[:len(r.keys[p].fixed):len(r.keys[p].fixed)], batches...)
	sent := time.Now()
	v, err := await(ctx, r.gate, !crowd[verb], func() (timed, error) {
		script := r.scripts[verb]
		v, err := r.withTime(ctx, script.EvalSha, k, append([]any{caller}, args...))
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			v, err = r.withTime(ctx, script.Eval, k, append([]any{caller}, args...))
		}
		return v, err
	})
	a, err := r.read(p, verb, identity, sent, v.script, err)
	if v.doneUS-a.asOf.TimeUS <= time.Since(sent).Microseconds() { // otherwise another server told it, or the clock was set
		a.doneUS = v.doneUS
	}
	return a, err
}

// withTime runs a script in a pipeline with TIME.
func (r *Redis) withTime(ctx context.Context, eval func(context.Context, redis.Scripter, []string, ...any) *redis.Cmd, keys []string, args []any) (timed, error) {
	pipe := r.rdb.Pipeline()
	script, told := eval(ctx, pipe, keys, args...), pipe.Time(ctx)
	_, refused := pipe.Exec(ctx)
	v, err := script.Slice()
	if script.Val() == nil && script.Err() == nil && refused != nil { // by a hook, whose error is in no command
		err = refused
	}
	if err != nil || told.Err() != nil {
		return timed{script: v}, err
	}
	return timed{v, told.Val().UnixMicro()}, nil
}
