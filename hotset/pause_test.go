package hotset

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/task"
)

// process returns a Set as a process of its own has it, and a function that tells it what the durable store records.
func process(t *testing.T, addr string) (*Redis, func(generation int64, p task.Pause)) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = rdb.Close() })
	r, err := NewRedis(rdb, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r, func(generation int64, p task.Pause) {
		t.Helper()
		if err := r.Expect(task.Expected{Identity: "A1", Generations: []int64{generation}, Pause: p}); err != nil {
			t.Fatal(err)
		}
	}
}

// A partition stores the pause: processes that have not read the record yet claim nothing, and what an older process
// tells does not end the pause, also not a feeder's round. A process that knows more than the partition goes by that.
func TestAPartitionStoresTheNewestPause(t *testing.T) {
	server := miniredis.RunT(t)
	one, tellOne := process(t, server.Addr())
	two, tellTwo := process(t, server.Addr())
	claim := func(r *Redis, want int, when string) {
		t.Helper()
		b, err := r.Claim(t.Context(), 0, task.ClaimRequest{Token: when, Limit: 1, Lease: time.Minute})
		if err != nil || len(b.Claims) != want {
			t.Errorf("%s: claimed %d members, %v; want %d", when, len(b.Claims), err, want)
		}
	}
	round := func(r *Redis, generation int64) task.AsOf {
		t.Helper()
		st, err := r.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 41, Limit: 100, Generation: generation})
		if err != nil {
			t.Fatal(err)
		}
		return st.AsOf
	}
	add := func(r *Redis, asOf task.AsOf) {
		t.Helper()
		var all []task.Entry
		for _, id := range []string{"a", "b", "c", "d"} {
			all = append(all, task.Entry{Ref: task.Ref{ID: id, Ver: 1}, NextMS: 1, DueMS: 1})
		}
		if _, err := r.Add(t.Context(), 0, task.AddRequest{AsOf: asOf, Entries: all}); err != nil {
			t.Fatal(err)
		}
	}
	pause := func(r *Redis) {
		t.Helper()
		if err := r.Pause(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	const end = task.MaxDue
	tellOne(7, task.Pause{})
	tellTwo(7, task.Pause{})
	add(one, round(one, 7))
	claim(two, 1, "before any pause")

	tellOne(7, task.Pause{Seq: 1, UntilMS: end})
	claim(one, 0, "a process that has read the record of a pause that the partition has not heard of")
	claim(two, 1, "a process that has not")
	pause(one)
	claim(two, 0, "once the partition has stored it")
	round(two, 7)
	pause(two)
	claim(two, 0, "after a round, and a pause that comes late, of the process that has not read it")

	tellTwo(7, task.Pause{Seq: 2})
	claim(one, 0, "a process that has not heard of the resumption")
	claim(two, 1, "a process that has")
	round(two, 7)
	claim(one, 1, "once a feeder's round has told the partition")

	tellOne(7, task.Pause{Seq: 3, UntilMS: end})
	round(one, 7)
	claim(two, 0, "a pause that a feeder's round has told of, because its caller died")

	server.FlushAll()
	tellOne(8, task.Pause{})
	tellTwo(8, task.Pause{})
	add(two, round(one, 8))
	claim(two, 0, "after a loss of data, in the generation of a feeder that has read the record")
}
