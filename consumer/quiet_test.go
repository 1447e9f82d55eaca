package consumer_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

// round does a feeder's round, which tells those who watch of a quiet partition.
func (k *kit) round() {
	k.Helper()
	if _, err := k.set.Horizon(k.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: far, Limit: 1 << 30}); err != nil {
		k.Fatal(err)
	}
	synctest.Wait()
}

// A worker that hears each 5 s that nothing is to be offered does not ask. One that hears nothing asks each 8 s.
func TestAQuietPartitionIsNotAsked(t *testing.T) {
	bubble(t, consumer.Options{}, func(k *kit) {
		k.load(far)
		k.run()
		_, stop := k.takers(1)
		claims := func(rounds bool) int {
			before := k.set.tried()
			for range 12 {
				if rounds {
					k.round()
				}
				<-time.After(5 * time.Second)
			}
			return k.set.tried() - before
		}
		if n := claims(false); n < 6 || n > 8 {
			t.Errorf("a worker that hears nothing claimed %d times in a minute, want 7", n)
		}
		if n := claims(true); n > 0 {
			t.Errorf("a worker that hears that the partition is quiet claimed %d times in a minute, want none", n)
		}
		if n := claims(false); n < 6 || n > 8 {
			t.Errorf("a worker that hears nothing any more claimed %d times in a minute, want 7", n)
		}
		stop()
		k.stop()
	})
}

// What a worker has been told to be due comes in time, however quiet the partition was.
func TestAQuietPartitionOffersInTime(t *testing.T) {
	for _, in := range []time.Duration{9*time.Second + time.Millisecond, 12 * time.Second, 17300 * time.Millisecond, 5 * time.Minute} {
		bubble(t, consumer.Options{}, func(k *kit) {
			k.load(far)
			k.run()
			k.in = in
			k.add(1, false)
			began := time.Now()
			go func() {
				for k.Context().Err() == nil && time.Since(began) < in {
					k.round()
					<-time.After(5 * time.Second)
				}
			}()
			k.consume()
			if took := time.Since(began); took < in || took > in+2*time.Millisecond {
				t.Errorf("a task due in %s came after %s", in, took)
			}
			k.stop()
			<-time.After(5 * time.Second)
		})
	}
}

// A wake-up counts although the worker hears after it that the partition was quiet before, while it was busy.
func TestAWakeUpCountsBesideAQuietPartition(t *testing.T) {
	for range 20 { // what is heard at one time is taken in any order
		bubble(t, consumer.Options{}, func(k *kit) {
			k.load(far)
			k.run()
			first := make(chan *consumer.Delivery, 1)
			k.set.mu.Lock()
			k.set.slowClaim = time.Second
			k.set.mu.Unlock()
			k.add(1, false)
			go func() {
				d, err := k.c.Consume(context.WithoutCancel(k.Context()))
				if err != nil {
					t.Errorf("Consume: %v", err)
				}
				first <- d
			}()
			<-time.After(500 * time.Millisecond) // the claim that gets it is under way
			k.round()
			k.in = 1700 * time.Millisecond
			k.addFrom(1, 1)
			due := time.Now().Add(k.in)
			<-first
			k.set.mu.Lock()
			k.set.slowClaim = 0
			k.set.mu.Unlock()
			<-time.After(100 * time.Millisecond)
			k.consume()
			if late := time.Since(due); late < 0 || late > 2*time.Millisecond {
				t.Errorf("a task came %s late", late)
			}
			k.stop()
		})
	}
}
