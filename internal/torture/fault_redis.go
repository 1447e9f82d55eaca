package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/internal/history"
)

// command runs commands on the Redis that is. Another fault may have stopped it,
// so their errors are none of the run.
func (st *stage) command(do func(ctx context.Context, rdb *redis.Client)) error {
	rdb := st.client()
	defer rdb.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	do(ctx, rdb)
	return nil
}

// flushAll: all data is gone at once.
func flushAll(st *stage, _ *rand.Rand) error {
	return st.hit(history.Event{Kind: "flushall", Loses: true}, func() error {
		return st.command(func(ctx context.Context, rdb *redis.Client) { rdb.FlushAll(ctx) })
	})
}

// scriptFlush: all scripts are forgotten.
func scriptFlush(st *stage, _ *rand.Rand) error {
	return st.hit(history.Event{Kind: "scriptflush"}, func() error {
		return st.command(func(ctx context.Context, rdb *redis.Client) { rdb.ScriptFlush(ctx) })
	})
}

// deleteKey: some keys go, one after the other, as an eviction takes them.
func deleteKey(st *stage, r *rand.Rand) error {
	return st.hit(history.Event{Kind: "delkey", Loses: true, Partly: true}, func() error {
		return st.command(func(ctx context.Context, rdb *redis.Client) {
			for range 1 + r.IntN(3) {
				keys, _ := rdb.Keys(ctx, fmt.Sprintf("{%s:%d}:*", st.ns, r.IntN(st.parts))).Result()
				if len(keys) > 0 {
					rdb.Del(ctx, keys[r.IntN(len(keys))])
				}
				pause(ctx, 100*time.Millisecond)
			}
		})
	})
}

// clientKill: Redis closes all connections.
func clientKill(st *stage, _ *rand.Rand) error {
	return st.hit(history.Event{Kind: "clientkill"}, func() error {
		return st.command(func(ctx context.Context, rdb *redis.Client) {
			for _, kind := range []string{"normal", "pubsub"} {
				rdb.ClientKillByFilter(ctx, "TYPE", kind, "SKIPME", "yes")
			}
		})
	})
}

// clientPause: Redis answers no client for a while.
func clientPause(st *stage, r *rand.Rand) error {
	d := between(r, 200*time.Millisecond, leaseTime)
	return st.hit(history.Event{Kind: "clientpause", Parts: true}, func() error {
		err := st.command(func(ctx context.Context, rdb *redis.Client) { rdb.ClientPause(ctx, d) })
		hold(d)
		return err
	})
}

// outOfMemory: Redis has no memory left, and says so.
func outOfMemory(st *stage, r *rand.Rand) error {
	limit := func(bytes string) error {
		return st.command(func(ctx context.Context, rdb *redis.Client) { rdb.ConfigSet(ctx, "maxmemory", bytes) })
	}
	return st.hit(history.Event{Kind: "oom"}, func() error {
		err := limit("1")
		hold(between(r, time.Second, 4*time.Second))
		return errors.Join(err, limit("0"))
	})
}

// redisEmpty: Redis is killed, and comes back with nothing.
func redisEmpty(st *stage, r *rand.Rand) error {
	st.redisMu.Lock()
	defer st.redisMu.Unlock()
	return st.hit(history.Event{Kind: "redisempty", Loses: true, Parts: true}, func() error {
		st.redisServer.Kill()
		hold(between(r, 0, 3*time.Second))
		return errors.Join(st.redisServer.Forget(), st.redisServer.Boot(context.Background()))
	})
}

// redisOld: Redis is killed, and comes back with what it held some seconds before.
func redisOld(st *stage, r *rand.Rand) error {
	st.redisMu.Lock()
	defer st.redisMu.Unlock()
	_ = st.redisServer.Snapshot() // if it is paused, there is none: then it comes back empty
	hold(between(r, 500*time.Millisecond, 5*time.Second))
	return st.hit(history.Event{Kind: "redisold", Loses: true, Parts: true}, func() error {
		st.redisServer.Kill()
		hold(between(r, 0, 3*time.Second))
		return errors.Join(st.redisServer.Boot(context.Background()), st.redisServer.Forget())
	})
}

// promoteReplica: a replica follows, loses its master, which goes on for a while,
// and takes the master's place without what was written in that time. The old
// master is the next replica.
func promoteReplica(st *stage, r *rand.Rand) error {
	st.redisMu.Lock()
	defer st.redisMu.Unlock()
	master, replica := st.redisServer, st.replica
	return st.hit(history.Event{Kind: "promote", Loses: true, Parts: true}, func() error {
		// The first replica of a master's life changes its master_replid, so a new generation begins.
		if err := follow(replica.Addr, master.Addr); err != nil {
			return err
		}
		hold(between(r, time.Second, 2*time.Second))
		if err := follow(replica.Addr, ""); err != nil {
			return err
		}
		hold(between(r, 200*time.Millisecond, 2*time.Second))
		master.Kill()
		hold(between(r, 0, 2*time.Second))
		for _, sl := range st.slots {
			sl.redis.turn(replica.Addr)
		}
		return st.moved()
	})
}

// follow makes one Redis the replica of another, or of none.
func follow(addr, master string) error {
	rdb := redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: 5 * time.Second})
	defer rdb.Close()
	host, port := "NO", "ONE"
	if master != "" {
		host, port = "127.0.0.1", master[len("127.0.0.1:"):]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := rdb.Do(ctx, "REPLICAOF", host, port).Err(); err != nil {
		return fmt.Errorf("replica of %s: %w", master, err)
	}
	return nil
}
