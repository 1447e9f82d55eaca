package hotset

import (
	"testing"

	"github.com/triggerhook/triggerhook/task"
)

// An entry is as short as it can be: without headers it has no byte for them.
func TestAnEntryHasNoByteForAbsentHeaders(t *testing.T) {
	e := task.Entry{Ref: task.Ref{ID: "a", Ver: 1}, NextMS: 20, DueMS: 10, Attempt: 3, Payload: []byte("p:1")}
	with, long := e, e
	with.Headers, long.External, long.Headers = `{"k":"v"}`, true, `{"k":"v"}`
	ends, endsWith, endsLong := e, with, long
	ends.ExpiresMS, endsWith.ExpiresMS, endsLong.ExpiresMS = 30, 40, 50
	made, madeWith := e, endsWith
	made.CreatedMS, madeWith.CreatedMS, endsLong.CreatedMS = 7, 8, 9
	for want, e := range map[string]task.Entry{"20:10:3:i:p:1": e, `20:10:3:h:9:{"k":"v"}p:1`: with, "20:10:3:x:": long,
		"20:10:3:e:30:i:p:1": ends, `20:10:3:e:40:h:9:{"k":"v"}p:1`: endsWith, "20:10:3:c:7:i:p:1": made, `20:10:3:e:40:c:8:h:9:{"k":"v"}p:1`: madeWith} {
		if got, err := parseEntry(e.Ref, want); err != nil || !sameEntry(got, e) && !e.External {
			t.Errorf("%q was read as %+v, %v; want %+v", want, got, err, e)
		}
		if got := encodeEntry(e); got != want {
			t.Errorf("%+v is written as %q, want %q", e, got, want)
		}
	}
	if got := encodeEntry(endsLong); got != "20:10:3:x:" {
		t.Errorf("a long one that expires is written as %q, want that its row is read", got)
	}
	for _, strange := range []string{"1:1:1:h:", "1:1:1:h:0:", "1:1:1:h:-1:x", "1:1:1:h:2:x", "1:1:1:h:x:x", "1:1:1:h:99999999999999999999:x", "1:1:1:x:p", "1:1:1:y:", "1:1:1:i", "1:1:1",
		"1:1:1:e:", "1:1:1:e:5", "1:1:1:e:5:", "1:1:1:e:5:i", "1:1:1:e:0:i:p", "1:1:1:e:-1:i:p", "1:1:1:e:x:i:p", "1:1:1:e:5:x:", "1:1:1:e:5:e:5:i:",
		"1:1:1:c:", "1:1:1:c:0:i:p", "1:1:1:c:-1:i:p", "1:1:1:c:5:x:", "1:1:1:c:5:e:5:i:", "1:1:1:c:5:c:5:i:", "1:1:1:e:5:c:5:x:", "1:1:1:e:x:c:5:i:"} {
		if got, err := parseEntry(e.Ref, strange); err == nil {
			t.Errorf("%q was read as %+v", strange, got)
		}
	}
}

// An entry has no byte for what is usual, so that most are the payload and 8 digits.
func TestAnEntryHasNoByteForWhatIsUsual(t *testing.T) {
	usual := func(next int64) task.Entry {
		return task.Entry{Ref: task.Ref{ID: "a", Ver: 1}, NextMS: next, DueMS: next, Payload: []byte("p:1")}
	}
	tried, moved, empty, long, made := usual(shortFrom), usual(shortFrom), usual(shortFrom), usual(shortFrom), usual(shortFrom)
	tried.Attempt, moved.DueMS, empty.Payload, long.Payload, long.External, made.CreatedMS = 7, 0, nil, nil, true, 5
	for want, e := range map[string]task.Entry{"20:::i:p:1": usual(20), "783641640959:::i:p:1": usual(shortFrom - 1), "a0000000p:1": usual(shortFrom),
		"zzzzzzzzp:1": usual(shortTo - 1), "2821109907456:::i:p:1": usual(shortTo), "millqpkwp:1": usual(1764500000000), "783641640960::7:i:p:1": tried,
		"783641640960:0::i:p:1": moved, "a0000000": empty, "783641640960:::x:": long, "783641640960:::c:5:i:p:1": made} {
		if got := encodeEntry(e); got != want {
			t.Errorf("%+v is written as %q, want %q", e, got, want)
		}
		if got, err := parseEntry(e.Ref, want); err != nil || !sameEntry(got, e) {
			t.Errorf("%q was read as %+v, %v; want %+v", want, got, err, e)
		}
	}
	for _, strange := range []string{"a", "a000000", "a00000.0p", "a0_00000p", ":::i:p", "1::x:i:p", "1:x::i:p", "a0000:::i:p", "A0000000p", "-1"} {
		if got, err := parseEntry(task.Ref{ID: "a"}, strange); err == nil {
			t.Errorf("%q was read as %+v", strange, got)
		}
	}
}

// Reading claims without headers allocates what it did before there were any: the claims, and a slab of payloads for each 16.
func TestClaimsWithoutHeadersAllocateNothingForThem(t *testing.T) {
	const n = 160
	members, entries := make([]any, n), make([]any, n)
	for i := range members {
		ref := task.Ref{ID: "task", Ver: int64(i)}
		members[i], entries[i] = encodeMember(ref), encodeEntry(task.Entry{Ref: ref, NextMS: 1, DueMS: 1, Payload: []byte("payload")})
	}
	if got := testing.AllocsPerRun(20, func() {
		if _, err := parseClaims(members, entries); err != nil {
			t.Error(err)
		}
	}); got > 1+n/slab {
		t.Errorf("%v allocations for %d claims, want at most %d", got, n, 1+n/slab)
	}
}
