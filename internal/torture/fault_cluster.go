package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/internal/history"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// clusterFailover has a master's replica take its place: in accord with the master (how is
// empty), without it, or without any other node's vote.
func (st *stage) clusterFailover(m master, how string) error {
	heir := st.cluster.Replica(m.node)
	if heir == nil {
		return fmt.Errorf("%s has no replica", m.node.Addr)
	}
	args := []any{"CLUSTER", "FAILOVER"}
	if how != "" {
		args = append(args, how[1:])
	}
	if err := order(heir.Addr, args...); err != nil {
		return err
	}
	return until("the old master follows the new one", func() bool { return st.cluster.Replica(heir) == m.node })
}

// slotMove: the slot of a partition moves to another master and back, as when a cluster is
// resharded while it works. For a while its keys lie on both.
func slotMove(st *stage, r *rand.Rand) error {
	split := between(r, 200*time.Millisecond, 3*time.Second)
	stay := between(r, time.Second, 3*time.Second)
	return st.change(r, history.Event{Kind: "slotmove"}, func(m master, _ failover) error {
		var to *testserver.Server
		for _, s := range st.cluster.Masters() {
			if s != m.node {
				to = s
			}
		}
		slot, err := st.slotOf(m.key)
		if err != nil {
			return err
		}
		if err := st.move(slot, m.node, to, split); err != nil {
			return err
		}
		hold(stay)
		return st.move(slot, to, m.node, split)
	})
}

// slotOf is the slot of a key.
func (st *stage) slotOf(key string) (int64, error) {
	rdb := redis.NewClient(&redis.Options{Addr: st.cluster.Nodes[0].Addr, MaxRetries: -1})
	defer rdb.Close()
	slot, err := rdb.ClusterKeySlot(context.Background(), key).Result()
	if err != nil {
		return 0, fmt.Errorf("slot of %s: %w", key, err)
	}
	return slot, nil
}

// perMove is how many keys one MIGRATE moves.
const perMove = 100

// move moves a slot; half of its keys lie on either side for split.
func (st *stage) move(slot int64, from, to *testserver.Server, split time.Duration) error {
	at := func(s *testserver.Server) *redis.Client {
		return redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, ReadTimeout: 10 * time.Second})
	}
	a, b := at(from), at(to)
	defer a.Close()
	defer b.Close()
	ctx, cancel := context.WithTimeout(context.Background(), served)
	defer cancel()
	fromID, errA := a.Do(ctx, "CLUSTER", "MYID").Text()
	toID, errB := b.Do(ctx, "CLUSTER", "MYID").Text()
	err := errors.Join(errA, errB, b.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID).Err(), a.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID).Err())
	if err != nil {
		return fmt.Errorf("begin to move slot %d: %w", slot, err)
	}
	for n := 0; ; n++ {
		keys, err := a.ClusterGetKeysInSlot(ctx, int(slot), perMove).Result()
		if err != nil || len(keys) == 0 {
			return errors.Join(err, st.assign(ctx, slot, toID, b, a))
		}
		if n == 0 {
			keys = keys[:(len(keys)+1)/2]
		}
		if err := migrate(ctx, a, to.Addr, keys); err != nil {
			return fmt.Errorf("move slot %d: %w", slot, err)
		}
		if n == 0 {
			hold(split)
		}
	}
}

// migrate moves keys; what is gone by then is no error (the answer is NOKEY).
func migrate(ctx context.Context, from *redis.Client, to string, keys []string) error {
	host, port, _ := net.SplitHostPort(to)
	args := []any{"MIGRATE", host, port, "", 0, 5000, "KEYS"}
	for _, key := range keys {
		args = append(args, key)
	}
	return from.Do(ctx, args...).Err()
}

// assign gives a slot to its new node, which is told first, then the old one, then the others.
func (st *stage) assign(ctx context.Context, slot int64, id string, told ...*redis.Client) error {
	for _, s := range st.cluster.Masters() {
		rdb := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
		defer rdb.Close()
		told = append(told, rdb)
	}
	for _, rdb := range told {
		if err := rdb.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", id).Err(); err != nil {
			return fmt.Errorf("give slot %d to %s: %w", slot, id, err)
		}
	}
	return nil
}
