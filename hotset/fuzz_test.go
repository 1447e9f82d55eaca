package hotset

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/big"
	"net"
	"reflect"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/task"
)

// A member is read as what was written, and what is read is written the same way. So no two versions have one member.
func FuzzMember(f *testing.F) {
	f.Fuzz(func(t *testing.T, id string, ver int64, junk string) {
		if ref := (task.Ref{ID: id, Ver: ver}); utf8.ValidString(id) && id != "" {
			if got, err := parseMember(encodeMember(ref)); err != nil || got != ref {
				t.Errorf("%+v came back as %+v, %v", ref, got, err)
			}
		}
		got, err := parseMember(junk)
		if err == nil && (encodeMember(got) != junk || got.ID == "") {
			t.Errorf("%q was read as %+v", junk, got)
		}
	})
}

// An entry is read as it was written. Junk is read the same way twice, or refused.
func FuzzEntry(f *testing.F) {
	f.Fuzz(func(t *testing.T, due, exec int64, attempt int, payload []byte, external bool, junk string) {
		ref := task.Ref{ID: "a", Ver: 1}
		e := task.Entry{Ref: ref, NextMS: due, DueMS: exec, Attempt: attempt, Payload: payload, External: external}
		if attempt == 0 && len(junk)%2 == 0 {
			e.DueMS, e.External, external = due, false, false // as most are
		}
		if attempt%2 != 0 {
			e.Headers = junk
		}
		if attempt%3 != 0 {
			e.ExpiresMS = max(0, exec)
		}
		if attempt%5 != 0 {
			e.CreatedMS = max(0, due)
		}
		got, err := parseEntry(ref, encodeEntry(e))
		if external {
			e.Payload, e.Headers, e.ExpiresMS, e.CreatedMS = nil, "", 0, 0
		}
		if err != nil || !sameEntry(got, e) {
			t.Errorf("%+v came back as %+v, %v", e, got, err)
		}
		read, err := parseEntry(ref, junk)
		if err != nil {
			return
		}
		if again, err := parseEntry(ref, encodeEntry(read)); err != nil || !sameEntry(again, read) {
			t.Errorf("%q was read as %+v, then as %+v, %v", junk, read, again, err)
		}
		if read.External && len(read.Payload)+len(read.Headers) > 0 {
			t.Errorf("%q was read as external with a payload", junk)
		}
	})
}

func sameEntry(a, b task.Entry) bool {
	same := bytes.Equal(a.Payload, b.Payload) && (a.Payload == nil || len(a.Payload) > 0)
	a.Payload, b.Payload = nil, nil
	return same && reflect.DeepEqual(a, b)
}

// Replies of a wrong shape are errors: whatever a server answers to each verb, no
// call panics, and one that returns nil returns what its contract allows.
func FuzzReplies(f *testing.F) {
	h := &replies{}
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	f.Cleanup(func() { rdb.Close() })
	rdb.AddHook(h)
	s, err := NewRedis(rdb, Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, verb, n uint8, ok bool, reply []byte) {
		h.data, h.ok, s.seen[0] = reply, ok, sighting{}
		refs := make([]task.Ref, n%4)
		for i := range refs {
			refs[i] = task.Ref{ID: "a", Ver: int64(i)}
		}
		call(t, s, verb, refs)
	})
}

// legal checks that a call without an error has an outcome for each of n members, and only those that its verb has.
func legal[T comparable](t *testing.T, verb uint8, n int, got []T, err error, all ...T) {
	if err != nil {
		return
	}
	if len(got) != n {
		t.Errorf("verb %d: %d outcomes for %d members", verb, len(got), n)
	}
	for _, o := range got {
		if !slices.Contains(all, o) {
			t.Errorf("verb %d: outcome %v, want one of %v", verb, o, all)
		}
	}
}

// call makes one call and checks what it returned.
func call(t *testing.T, s *Redis, verb uint8, refs []task.Ref) {
	ctx := t.Context()
	entries := make([]task.Entry, len(refs))
	switch verb % 13 {
	case 0:
		_, _ = s.Clock(ctx, 0)
	case 1:
		_, _ = s.State(ctx, 0)
	case 2:
		_, _ = s.Horizon(ctx, 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1, Limit: 1})
	case 3:
		_, _ = s.Feed(ctx, 0, task.FeedRequest{Entries: entries})
	case 4:
		got, err := s.Add(ctx, 0, task.AddRequest{Entries: entries})
		legal(t, verb, len(refs), got, err, task.AddTaken, task.AddPresent, task.AddBeyond, task.AddDead)
	case 5:
		got, err := s.Add(ctx, 0, task.AddRequest{Entries: entries, Token: "t"})
		legal(t, verb, len(refs), got, err, task.AddClaimed, task.AddElsewhere, task.AddDead)
	case 6:
		r, err := s.Remove(ctx, 0, "", refs)
		legal(t, verb, len(refs), r.Outcomes, err, task.RemoveAbsent, task.RemoveWaiting, task.RemoveClaimed)
	case 7:
		if b, err := s.Claim(ctx, 0, task.ClaimRequest{Token: "t", Limit: 10, Lease: time.Second, AheadLimit: len(refs)}); err == nil {
			if b.ClockUS > b.AsOf.TimeUS+time.Minute.Microseconds() {
				t.Errorf("Claim of %d read the clock at %d", b.AsOf.TimeUS, b.ClockUS)
			}
			for _, c := range b.Claims {
				if c.ID == "" {
					t.Errorf("Claim of a member without id: %+v", c)
				}
			}
		}
	case 8:
		e, err := s.Extend(ctx, 0, task.ExtendRequest{Generation: 1, Tokens: []string{"t"}, Refs: refs})
		if err == nil && (len(e.Lost) > 1 || len(e.Gone) > len(refs)) {
			t.Errorf("Extend of 1 and %d: %+v", len(refs), e)
		}
	case 9:
		got, err := s.Release(ctx, 0, task.ReleaseRequest{Token: "t", Refs: append(refs, task.Ref{ID: "z"})[:len(refs)]})
		legal(t, verb, len(refs), got, err, task.ReleaseWaiting, task.ReleaseLeased, task.ReleaseElsewhere, task.ReleaseBeyond, task.ReleaseDead, task.ReleaseAbsent)
	case 10:
		found, err := s.Find(ctx, 0, refs)
		for _, f := range found {
			legal(t, verb, 1, []task.FindOutcome{f.Outcome}, err, task.FindAbsent, task.FindWaiting, task.FindClaimed, task.FindOrphan)
		}
	case 11:
		_, _ = s.Expired(ctx, 0, 3, time.Second)
	case 12:
		terms, err := s.Elect(ctx, "me", time.Second, task.Feeder, task.Auditor)
		if err == nil && len(terms) != 2 {
			t.Errorf("Elect for two roles: %+v", terms)
		}
	}
}

// replies stands in for the connection: it answers each command from data. With ok
// a script's reply begins as it should, so that what comes after it is read.
type replies struct {
	data []byte
	ok   bool
}

func (r *replies) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
}

func (r *replies) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		switch cmd := cmd.(type) {
		case *redis.Cmd:
			v := r.value(3)
			if r.ok {
				list, _ := v.([]any)
				v = append([]any{"OK", int64(1), int64(1)}, list...)
			}
			cmd.SetVal(v)
		case *redis.StringSliceCmd:
			var all []string
			for range r.next() % 4 {
				s, _ := r.value(0).(string)
				all = append(all, s)
			}
			cmd.SetVal(all)
		}
		return cmd.Err()
	}
}

func (r *replies) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	one := r.ProcessHook(nil)
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, c := range cmds {
			if err := one(ctx, c); err != nil {
				return err
			}
		}
		return nil
	}
}

func (r *replies) next() byte {
	if len(r.data) == 0 {
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

func (r *replies) take(n int) []byte {
	b := r.data[:min(n, len(r.data))]
	r.data = r.data[len(b):]
	return b
}

// value reads one of the kinds that RESP2 and RESP3 have. A byte below 100 is a
// small number by itself.
func (r *replies) value(depth int) any {
	switch kind := r.next(); {
	case kind < 100:
		return int64(kind)
	case kind < 110:
		b := append(r.take(8), make([]byte, 8)...)
		return int64(binary.BigEndian.Uint64(b))
	case kind < 200:
		return string(r.take(int(kind-110) % 48))
	case kind < 240 && depth > 0:
		list := []any{}
		for range int(kind-200) % 20 {
			list = append(list, r.value(depth-1))
		}
		return list
	case kind < 244:
		return nil
	case kind < 247:
		return float64(r.next())
	case kind < 250:
		return r.next() < 128
	case kind < 253:
		return map[any]any{"k": r.value(0)}
	}
	return big.NewInt(int64(r.next()))
}
