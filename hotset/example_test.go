package hotset_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/task"
)

// The Set of a service on Redis: one server. The same call takes what redis.NewFailoverClient
// and redis.NewClusterClient return. NewRedis does no I/O.
func ExampleNewRedis() {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", PoolSize: 20})
	defer rdb.Close() // after Run or Handle has returned
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	c := set.Config()
	fmt.Printf("keys {%s:0}..., %d partition\n", c.Namespace, c.Partitions)
	// Output: keys {orders:0}..., 1 partition
}

// On a Cluster several partitions spread over the nodes. Their number is recorded by the first
// Migrate and cannot be changed after that.
func ExampleNewRedis_cluster() {
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:7000", "127.0.0.1:7001", "127.0.0.1:7002"}})
	defer rdb.Close()
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: "orders", Partitions: 12})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(set.Config().Partitions, "partitions")
	// Output: 12 partitions
}

// A Ring is refused: it moves a partition to another server while its own is away.
func ExampleNewRedis_ring() {
	rdb := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": "127.0.0.1:6379"}})
	defer rdb.Close()
	_, err := hotset.NewRedis(rdb, hotset.Options{})
	fmt.Println(errors.Is(err, task.ErrInvalid))
	// Output: true
}

// What a hot set holds, by partition: for a tool that looks at it from outside.
func ExampleSet() {
	own, err := local.New(local.Options{Namespace: "orders", Partitions: 2})
	if err != nil {
		log.Fatal(err)
	}
	var set hotset.Set = own // or what NewRedis returns
	for p := range set.Config().Partitions {
		state, err := set.State(context.Background(), p)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("partition %d: %d wait, of which %d are due; %d are claimed\n", p, state.Waiting, state.Due, state.Claimed)
	}
	// Output:
	// partition 0: 0 wait, of which 0 are due; 0 are claimed
	// partition 1: 0 wait, of which 0 are due; 0 are claimed
}

// A Set of one's own names its generations with numbers that fit into a double.
func ExampleNewGeneration() {
	g := hotset.NewGeneration()
	fmt.Println(g > 0 && int64(float64(g)) == g)
	// Output: true
}

// The first lines of Expect, for a Set of one's own.
func ExampleCheckExpected() {
	c := hotset.Config{Namespace: "orders", Partitions: 2}
	fmt.Println(hotset.CheckExpected(c, task.Expected{Identity: "abc", Generations: []int64{0, 0}}))
	err := hotset.CheckExpected(c, task.Expected{Identity: "abc", Generations: []int64{0}})
	fmt.Println("one generation for two partitions:", errors.Is(err, task.ErrInvalid))
	// Output:
	// <nil>
	// one generation for two partitions: true
}

// Which members a hot set has, for a tool that compares it with the rows.
func ExampleLister() {
	own, err := local.New(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	round, err := own.Horizon(ctx, 0, task.HorizonRequest{HorizonMS: 1000, Limit: 10})
	if err != nil {
		log.Fatal(err)
	}
	_, err = own.Add(ctx, 0, task.AddRequest{AsOf: round.AsOf, Entries: []task.Entry{{Ref: task.Ref{ID: "reminder-7", Ver: 1}, NextMS: 999}}})
	if err != nil {
		log.Fatal(err)
	}
	var set hotset.Lister = own // or what NewRedis returns
	for page, err := range set.Members(ctx, 0) {
		fmt.Println(page, err)
	}
	// Output: [{reminder-7 1}] <nil>
}
