package local_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/hotsettest"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, partitions int) hotset.Set {
	t.Helper()
	s, err := local.New(local.Options{Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSet(t *testing.T) {
	t.Run("local", func(t *testing.T) { hotsettest.Run(t, open) })
}

// Each sequence has a bubble, so that its clock is exact.
func TestModel(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("local/p%d", partitions), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				rapid.SyncTest(rt, func(rt *rapid.T) {
					hotsettest.Model(rt, hotsettest.World{Set: open(t, partitions), Turned: true, Pass: func(d time.Duration) { <-time.After(d) }})
				})
			})
		})
	}
}

// A tombstone lives T at least, and what was known before it is stale by then.
func TestARemovedMemberNeverComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, 1)
		f, err := s.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 50, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		e := task.Entry{Ref: task.Ref{ID: "a", Ver: 1}, NextMS: 1}
		before := f.AsOf
		if _, err := s.Remove(t.Context(), 0, "", []task.Ref{e.Ref}); err != nil {
			t.Fatal(err)
		}
		for range 5000 {
			got, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: before, Entries: []task.Entry{e}})
			if !errors.Is(err, task.ErrStale) && (err != nil || got[0] != task.AddDead) {
				t.Fatalf("%s after its removal Add answered %v, %v", time.Since(time.UnixMicro(before.TimeUS)), got, err)
			}
			<-time.After(10 * time.Millisecond)
		}
		now, _ := s.Clock(t.Context(), 0)
		if got, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: now, Entries: []task.Entry{e}}); err != nil || got[0] != task.AddTaken {
			t.Errorf("50 s after its removal the tombstone still stands: %v, %v", got, err)
		}
	})
}

func TestALeaseEndsToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, 1)
		f, _ := s.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 50, Limit: 10})
		e := task.Entry{Ref: task.Ref{ID: "a", Ver: 1}, NextMS: 1}
		if _, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: []task.Entry{e}}); err != nil {
			t.Fatal(err)
		}
		if b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Second}); err != nil || len(b.Claims) != 1 {
			t.Fatal(b, err)
		}
		<-time.After(time.Second - time.Millisecond)
		if got, err := s.Expired(t.Context(), 0, 1, 0); len(got) != 0 || err != nil {
			t.Errorf("1 ms before its lease ends Expired answered %v, %v", got, err)
		}
		<-time.After(time.Millisecond)
		if got, err := s.Expired(t.Context(), 0, 1, 0); len(got) != 1 || err != nil {
			t.Errorf("when its lease ends Expired answered %v, %v", got, err)
		}
	})
}

func TestNewRefusesBadOptions(t *testing.T) {
	for _, o := range []local.Options{{Namespace: "A"}, {Partitions: -1}, {Partitions: 257}} {
		if _, err := local.New(o); !errors.Is(err, task.ErrInvalid) {
			t.Errorf("New(%+v): %v, want ErrInvalid", o, err)
		}
	}
}
