package consumer_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

// oneOfEach returns the numbers of n tasks, one of each partition.
func oneOfEach(n int) []int {
	of := make([]int, n)
	for i, found := 1, 0; found < n; i++ {
		if p := task.Partition(taskID(i), n); of[p] == 0 {
			of[p] = i
			found++
		}
	}
	return of
}

// claimed is how many members of all partitions are claimed.
func (k *kit) claimed() (n int64) {
	k.Helper()
	for p := range k.set.Config().Partitions {
		st, err := k.set.State(k.Context(), p)
		if err != nil {
			k.Fatal(err)
		}
		n += st.Claimed
	}
	return n
}

// Tasks of many partitions that are due at the same time are late by one round trip, not by one for each partition.
func TestPartitionsAreAskedAtTheSameTime(t *testing.T) {
	const parts, trip = 8, 20 * time.Millisecond
	bubble(t, consumer.Options{Partitions: parts}, func(k *kit) {
		k.set.slowClaim = trip
		k.load(far)
		k.run()
		came, stop := k.takers(parts)
		k.in = time.Second
		for _, i := range oneOfEach(parts) {
			k.addFrom(i, 1)
		}
		due := time.Now().Add(k.in)
		<-time.After(2 * time.Second)
		for p, i := range oneOfEach(parts) {
			at, ok := came.Load(taskID(i))
			if !ok {
				t.Fatalf("the task of partition %d did not come", p)
			}
			if late := at.(time.Time).Sub(due); late > 3*trip/2 { // when it is due is known to half a round trip
				t.Errorf("the task of partition %d came %s after it was due, with round trips of %s", p, late, trip)
			}
		}
		stop()
		k.stop()
	})
}

// While one partition hangs the tasks of another one come.
func TestAPartitionThatHangsHoldsUpNoOther(t *testing.T) {
	bubble(t, consumer.Options{Partitions: 2}, func(k *kit) {
		k.set.hangs = func(p int) bool { return p == 0 }
		k.load(far)
		k.run()
		came, stop := k.takers(1)
		for i, sent := oneOfEach(2)[1], 0; sent < 20; i++ {
			if task.Partition(taskID(i), 2) != 1 {
				continue
			}
			sent++
			k.in = 0
			k.addFrom(i, 1)
			<-time.After(150 * time.Millisecond)
			if _, ok := came.Load(taskID(i)); !ok {
				t.Errorf("a task of the partition that answers did not come in 150 ms")
			}
		}
		stop()
		k.stop()
	})
}

// A member that comes after a claim, and before its answer, is claimed once the answer has come.
func TestAWakeUpDuringAClaimCountsAfterIt(t *testing.T) {
	bubble(t, consumer.Options{Partitions: 2}, func(k *kit) {
		k.set.slowClaim = 50 * time.Millisecond
		k.load(far)
		k.run()
		came, stop := k.takers(2) // the claims for them, which get nothing, are under way
		<-time.After(10 * time.Millisecond)
		for _, i := range oneOfEach(2) {
			k.addFrom(i, 1)
		}
		<-time.After(500 * time.Millisecond)
		for _, i := range oneOfEach(2) {
			if _, ok := came.Load(taskID(i)); !ok {
				t.Errorf("%s did not come", taskID(i))
			}
		}
		stop()
		k.stop()
	})
}

// What many partitions offer is claimed no faster than callers, and MaxRate, want it.
func TestClaimsFromManyPartitionsTakeNoMoreThanIsWanted(t *testing.T) {
	const parts, callers, n = 8, 3, 80
	t.Run("callers", func(t *testing.T) {
		bubble(t, consumer.Options{Partitions: parts}, func(k *kit) {
			k.set.slowClaim = 20 * time.Millisecond
			k.load(far)
			k.addFrom(1, n)
			k.run()
			for range callers {
				go func() { _, _ = k.c.Consume(k.Context()) }()
			}
			for range 50 {
				<-time.After(10 * time.Millisecond)
				if got := k.claimed(); got > callers {
					t.Fatalf("%d callers wait, and %d tasks are claimed", callers, got)
				}
			}
			if got := k.claimed(); got != callers {
				t.Errorf("%d callers wait, and %d tasks are claimed", callers, got)
			}
			k.stop()
		})
	})
	t.Run("MaxRate", func(t *testing.T) {
		bubble(t, consumer.Options{Partitions: parts, MaxRate: 5}, func(k *kit) {
			k.set.slowClaim = 20 * time.Millisecond
			k.load(far)
			k.addFrom(1, n)
			k.run()
			came, stop := k.takers(2 * parts)
			<-time.After(2*time.Second + 50*time.Millisecond)
			got := 0
			came.Range(func(any, any) bool { got++; return true })
			if most := 5 + 2*5; got > most || got < most-1 { // a second's worth at first
				t.Errorf("in 2 s %d tasks came, want %d, at 5 a second", got, most)
			}
			stop()
			k.stop()
		})
	})
}

// Run waits for the claims that are under way when it is to end, and gives back what they took.
func TestTheEndWaitsForClaimsFromAllPartitions(t *testing.T) {
	bubble(t, consumer.Options{Partitions: 2}, func(k *kit) {
		k.set.slowClaim = 50 * time.Millisecond
		k.load(far)
		for _, i := range oneOfEach(2) {
			k.addFrom(i, 1)
		}
		k.run()
		ctx, cancel := context.WithCancel(k.Context())
		for range 2 {
			go func() { _, _ = k.c.Consume(ctx) }()
		}
		synctest.Wait()
		if got := k.claimed(); got != 2 {
			t.Fatalf("%d members are claimed, want 2, whose answers are under way", got)
		}
		k.stop()
		cancel()
		if got := k.claimed(); got != 0 {
			t.Errorf("at the end %d members are still claimed", got)
		}
	})
}

// What a claim has taken keeps its lease while the claim loop is busy with what another claim has taken.
func TestTheLeaseOfWhatWasClaimedIsKeptWhileTheLoopIsBusy(t *testing.T) {
	bubble(t, consumer.Options{Partitions: 2}, func(k *kit) {
		k.set.slowIn = map[int]time.Duration{1: 10 * time.Millisecond}
		k.store.unread = make(chan struct{})
		k.load(far)
		of := oneOfEach(2)
		k.addEach(of[0], 1, func(int) bool { return true }) // its payload is read, which takes long
		k.addFrom(of[1], 1)
		k.run()
		came, stop := k.takers(2)
		<-time.After(time.Minute)
		expired, err := k.set.Expired(k.Context(), 1, 10, 0)
		if err != nil || len(expired) > 0 {
			t.Errorf("the lease of what was claimed from partition 1 is over: %v, %v", expired, err)
		}
		close(k.store.unread)
		<-time.After(time.Second)
		for _, i := range of {
			if _, ok := came.Load(taskID(i)); !ok {
				t.Errorf("%s did not come", taskID(i))
			}
		}
		stop()
		k.stop()
	})
}

// While the loop is busy with one answer others come. They are taken before more is claimed.
func TestAnswersAreTakenBeforeMoreIsWanted(t *testing.T) {
	const parts, callers = 4, 4
	bubble(t, consumer.Options{Partitions: parts}, func(k *kit) {
		k.set.slowIn = map[int]time.Duration{1: 10 * time.Millisecond, 2: 10 * time.Millisecond, 3: 10 * time.Millisecond}
		k.store.unread = make(chan struct{})
		k.load(far)
		k.addEach(1, 80, func(i int) bool { return task.Partition(taskID(i), parts) == 0 })
		k.run()
		for range callers {
			go func() { _, _ = k.c.Consume(k.Context()) }()
		}
		<-time.After(time.Second) // the payload of the task of partition 0 is being read
		close(k.store.unread)
		for range 50 {
			<-time.After(10 * time.Millisecond)
			if got := k.claimed(); got != callers {
				t.Fatalf("%d callers wait, and %d tasks are claimed", callers, got)
			}
		}
		k.stop()
	})
}

// A settlement that comes while a claim is under way, which finds as many tasks claimed as MaxInFlight allows, has the partition asked again at once.
func TestRoomMadeDuringAClaimCountsAfterIt(t *testing.T) {
	bubble(t, consumer.Options{Partitions: 2, MaxInFlight: func(int) int { return 1 }}, func(k *kit) {
		k.set.slowClaim = 20 * time.Millisecond
		k.load(far)
		for i, n := 1, 0; n < 2; i++ {
			if task.Partition(taskID(i), 2) == 1 {
				k.addFrom(i, 1)
				n++
			}
		}
		k.run()
		first := k.consume()
		second := make(chan *consumer.Delivery, 1)
		go func() { d, _ := k.c.Consume(k.Context()); second <- d }()
		<-time.After(5 * time.Second) // it is asked each 70 ms
		for before := k.set.tried(); k.set.tried() == before; {
			<-time.After(time.Millisecond)
		}
		began := time.Now()
		if err := first.Confirm(k.Context()); err != nil {
			k.Fatal(err)
		}
		if <-second; time.Since(began) > 45*time.Millisecond { // the rest of that claim's way, and one more claim
			k.Errorf("the task came %s after there was room", time.Since(began))
		}
		k.stop()
	})
}
