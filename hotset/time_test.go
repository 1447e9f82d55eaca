package hotset_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// A tombstone lives on when the period that it was left in is over: as long as
// knowledge from before it may still be used.
func TestTombstonesOutliveWhatIsKnown(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	f := warm(t, s)
	if left := task.TombstoneTTL - time.Duration(f.AsOf.TimeUS)*time.Microsecond%task.TombstoneTTL; left < 3*time.Second {
		<-time.After(left) // else the period may end within the test
		f = warm(t, s)
	}
	now := f.AsOf.TimeUS / task.TombstoneTTL.Microseconds()
	for _, ago := range []int64{1, 2} { // the tombstone is of that many periods ago; 3 ago is too old to matter
		ref := task.Ref{ID: fmt.Sprint("gone ", ago), Ver: 1}
		rdb.HSet(t.Context(), key(s, "meta"), "period", now)
		if _, err := s.Remove(t.Context(), 0, "", []task.Ref{ref}); err != nil {
			t.Fatal(err)
		}
		period, err := rdb.HGet(t.Context(), key(s, "meta"), "period").Int64()
		if err != nil {
			t.Fatal(err)
		}
		old := key(s, fmt.Sprint("gone:", (period-ago)%3))
		rdb.Rename(t.Context(), key(s, fmt.Sprint("gone:", period%3)), old)
		rdb.HDel(t.Context(), key(s, "meta"), "gone0", "gone1", "gone2")
		rdb.HSet(t.Context(), key(s, "meta"), "period", period-ago, fmt.Sprint("gone", (period-ago)%3), period-ago)
		got, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: []task.Entry{{Ref: ref, NextMS: 1}}})
		if err != nil || got[0] != task.AddDead {
			t.Errorf("Add of what was removed %d periods ago: %v, %v, want Dead", ago, got, err)
		}
	}
}

// Old tombstones take no memory: the next call drops them, after a pause of any
// length, as when the last worker of a namespace has ended right after many confirms.
func TestOldTombstonesAreDropped(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	for _, ago := range []int64{3, 4, 5, 1000} {
		s := open(t, rdb, 1)
		f := warm(t, s)
		period := f.AsOf.TimeUS / task.TombstoneTTL.Microseconds()
		meta := []any{"period", period - ago}
		for k := period - ago - 2; k <= period-ago; k++ { // as three periods of removals leave it
			rdb.SAdd(t.Context(), key(s, fmt.Sprint("gone:", k%3)), "a member")
			meta = append(meta, fmt.Sprint("gone", k%3), k)
		}
		rdb.HSet(t.Context(), key(s, "meta"), meta...)
		if _, err := s.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1, Limit: 1}); err != nil {
			t.Errorf("Horizon %d periods after: %v", ago, err)
		}
		if left := rdb.Keys(t.Context(), key(s, "gone:*")).Val(); len(left) > 0 {
			t.Errorf("%d periods after, %q still hold tombstones", ago, left)
		}
	}
}

// A server that took over has a clock that is minutes behind the times that the server before it has answered. Its
// generation begins by its own clock, and goes on.
func TestANewGenerationGoesByItsServersClock(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	f := warm(t, s)
	ahead := f.AsOf.TimeUS/task.TombstoneTTL.Microseconds() + 30
	rdb.HSet(t.Context(), key(s, "meta"), "server", "another", "period", ahead)
	next := warm(t, s)
	if now := time.Now().UnixMicro(); !next.New || next.AsOf.TimeUS > now+1e6 || next.StartMS > now/1000+1000 {
		t.Errorf("the next generation began at %d ms, as of %d us, and it is %d us; new=%t", next.StartMS, next.AsOf.TimeUS, now, next.New)
	}
	pause := time.NewTimer(20 * time.Millisecond)
	<-pause.C
	if later, err := s.State(t.Context(), 0); err != nil || later.AsOf.TimeUS <= next.AsOf.TimeUS {
		t.Errorf("20 ms later it is %d us, %v; it was %d", later.AsOf.TimeUS, err, next.AsOf.TimeUS)
	}
	if _, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: many(1)}); !errors.Is(err, task.ErrStale) {
		t.Errorf("Add with knowledge of the generation before: %v, want ErrStale", err)
	}
}

// Each script that answers the time also stores it. Otherwise, after the clock has stepped back, an as_of from
// before could outlive a tombstone.
func TestClockRemembersTheTimeOfEachReply(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	f := warm(t, s)
	now := f.AsOf.TimeUS / task.TombstoneTTL.Microseconds()
	for name, call := range map[string]func() error{
		"Claim": func() error {
			_, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 1, Lease: time.Second})
			return err
		},
		"State": func() error { _, err := s.State(t.Context(), 0); return err },
		"Horizon": func() error {
			_, err := s.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1})
			return err
		},
	} {
		rdb.HSet(t.Context(), key(s, "meta"), "period", now-5)
		if err := call(); err != nil {
			t.Fatal(err)
		}
		if got, _ := rdb.HGet(t.Context(), key(s, "meta"), "period").Int64(); got < now {
			t.Errorf("after %s the period is %d, want %d", name, got, now)
		}
	}
}
