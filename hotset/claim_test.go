package hotset_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// sized are members with payloads of those lengths, the first due first.
func sized(lengths ...int) []task.Entry {
	all := make([]task.Entry, len(lengths))
	for i, n := range lengths {
		all[i] = task.Entry{Ref: task.Ref{ID: fmt.Sprintf("%04d", i), Ver: 1}, NextMS: int64(1 + i), DueMS: int64(1 + i), Attempt: 3, Payload: make([]byte, n)}
	}
	return all
}

func claim(t *testing.T, s *hotset.Redis, token string, limit, want int) []task.Claim {
	t.Helper()
	b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: token, Limit: limit, Lease: time.Minute})
	if err != nil || len(b.Claims) != want {
		t.Fatalf("Claim %s of %d: %d claims, %v; want %d", token, limit, len(b.Claims), err, want)
	}
	return b.Claims
}

// A claim has a number of bytes for its answer. What does not fit comes in its place, with
// all but its payload.
func TestAClaimLeavesOutPayloadsThatDoNotFit(t *testing.T) {
	s := open(t, client(t, testserver.Shared(t, testserver.Redis).Addr), 1)
	const kib = 1 << 10
	lengths := make([]int, 1000)
	for i := range lengths {
		lengths[i] = kib / 2
	}
	lengths[3], lengths[5], lengths[400] = 700*kib, 400*kib, 200*kib // of 1 MiB
	add(t, s, warm(t, s), sized(lengths...))
	whole := 0
	for i, c := range claim(t, s, "t", 1000, 1000) {
		if want := fmt.Sprintf("%04d", i); c.ID != want || c.NextMS != int64(1+i) || c.Attempt != 3 || c.EntryLost {
			t.Fatalf("claim %d is %+v, want that of %s, whole except for its payload", i, c, want)
		}
		if c.External == (len(c.Payload) > 0) || !c.External && len(c.Payload) != lengths[i] {
			t.Errorf("claim %d: External %t with a payload of %d bytes, want one of %d or none", i, c.External, len(c.Payload), lengths[i])
		}
		if fits := i != 5 && i != 400 && i < 600; fits == c.External && (i < 600 || i > 700) { // about there 1 MiB is full
			t.Errorf("claim %d of %d bytes: External %t", i, lengths[i], c.External)
		}
		whole += len(c.Payload)
	}
	if whole > 1<<20 || whole < 1<<20-20*kib {
		t.Errorf("the answer held %d bytes of payloads, want 1 MiB less what stands around them", whole)
	}
	for _, c := range claim(t, s, "t", 1000, 1000) {
		if !c.External || c.Payload != nil || c.Attempt != 3 || c.EntryLost {
			t.Fatalf("a batch that is claimed again has %+v, want no payload", c)
		}
	}
}

// An attempt that is counted makes an entry longer than any was when it was added. A claim's answer stays below its bound all the same.
func TestAttemptsDoNotMakeAClaimsAnswerTooLarge(t *testing.T) {
	s := open(t, client(t, testserver.Shared(t, testserver.Redis).Addr), 1)
	f := warm(t, s)
	const n, head = 1000, len("1764500000000::1:i:")
	lengths := make([]int, n)
	for i := range lengths {
		lengths[i] = 1<<20/n - 8 // all fit, as they are added
	}
	all := sized(lengths...)
	for i := range all {
		all[i].NextMS, all[i].Attempt = f.AsOf.TimeUS/1000, 0
		all[i].DueMS = all[i].NextMS
	}
	add(t, s, f, all)
	refs := make([]task.Ref, n)
	for i, c := range claim(t, s, "one", n, n) {
		if refs[i] = c.Ref; c.External {
			t.Fatalf("claim %d came without its payload", i)
		}
	}
	if _, err := s.Release(t.Context(), 0, task.ReleaseRequest{Token: "one", Refs: refs, Counted: true, AtNext: true}); err != nil {
		t.Fatal(err)
	}
	whole := 0
	for _, c := range claim(t, s, "two", n, n) {
		if c.Attempt != 1 {
			t.Fatalf("claimed %s with %d attempts, want 1", c.ID, c.Attempt)
		}
		if !c.External {
			whole += head + len(c.Payload)
		}
	}
	if whole > 1<<20 {
		t.Errorf("the answer held entries of %d bytes, want at most 1 MiB", whole)
	}
}

// An entry that was lost is not reported as one that does not fit.
func TestAClaimTellsLostEntriesFromLongOnes(t *testing.T) {
	rdb := client(t, testserver.Shared(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	all := sized(10, 10, 2<<20, 10)
	add(t, s, warm(t, s), all)
	rdb.HDel(t.Context(), key(s, "task"), "0001\x00\x00\x00\x00\x00\x00\x00\x01")
	for i, c := range claim(t, s, "t", 10, 4) {
		if c.EntryLost != (i == 1) || c.External != (i == 2) {
			t.Errorf("claim %d: EntryLost %t, External %t", i, c.EntryLost, c.External)
		}
	}
}

// Each answer that was lost makes the claims of its partition smaller, and of no other, for
// a while: the next one is to come through.
func TestLostAnswersMakeClaimsSmaller(t *testing.T) {
	s := open(t, client(t, testserver.Shared(t, testserver.Redis).Addr), 2)
	f := warm(t, s)
	lengths := make([]int, 5000)
	for i := range lengths {
		lengths[i] = 100
	}
	add(t, s, f, sized(lengths...))
	for i, want := range []int{1000, 500, 250, 125, 62, 31, 31} {
		token := fmt.Sprint("t", i)
		claim(t, s, token, 1000, want)
		claim(t, s, token, 1000, want) // as the caller's client does, or the caller
	}
	if got := claim(t, s, "few", 3, 3); got[0].External || len(got[0].Payload) != 100 {
		t.Errorf("the smallest claim has no room for %+v", got[0])
	}
}
