package hotset

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

const aUUID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"

// A UUID takes 17 bytes of a member, as it is written by most. Other text stays as it is, also if another program reads it as a UUID.
func TestAMemberHasAUUIDInBytes(t *testing.T) {
	version := string(binary.BigEndian.AppendUint64(nil, 258))
	bytes := "\xff\xf8\x1d\x4f\xae\x7d\xec\x11\xd0\xa7\x65\x00\xa0\xc9\x1e\x6b\xf6"
	for id, want := range map[string]string{aUUID: bytes, strings.Repeat("0", 8) + "-0000-0000-0000-" + strings.Repeat("0", 12): "\xff" + strings.Repeat("\x00", 16)} {
		if got := encodeMember(task.Ref{ID: id, Ver: 258}); got != want+version {
			t.Errorf("the member of %q is %q, want %q", id, got, want+version)
		}
	}
	for _, id := range []string{strings.ToUpper(aUUID), "F" + aUUID[1:], "{" + aUUID + "}", "urn:uuid:" + aUUID, strings.ReplaceAll(aUUID, "-", ""), aUUID[:35], aUUID + "0",
		"g" + aUUID[1:], "-" + aUUID[1:], strings.Replace(aUUID, "-", "0", 1), "f81d4fae7-dec-11d0-a765-00a0c91e6bf6", "é" + aUUID[2:]} {
		if got := encodeMember(task.Ref{ID: id, Ver: 258}); got != id+version {
			t.Errorf("the member of %q is %q, want the text", id, got)
		}
	}
	for _, strange := range []string{aUUID + version, bytes[:16] + version, bytes + "x" + version, "\xff" + version, "\xff" + version[:7], version} {
		if got, err := parseMember(strange); err == nil {
			t.Errorf("%q was read as %+v", strange, got)
		}
	}
}

// likeUUIDs draws ids that are UUIDs, or nearly so, or anything.
func likeUUIDs() *rapid.Generator[string] {
	return rapid.Custom(func(rt *rapid.T) string {
		id := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "uuid")).String()
		switch rapid.IntRange(0, 4).Draw(rt, "as") {
		case 0:
			return id
		case 1:
			return strings.ToUpper(id)
		case 2:
			at := rapid.IntRange(0, len(id)-1).Draw(rt, "at")
			return id[:at] + rapid.StringN(1, 1, 4).Draw(rt, "other") + id[at+1:]
		case 3:
			return rapid.StringMatching("[0-9a-fA-F-]{35,37}").Draw(rt, "digits")
		}
		return rapid.StringN(1, -1, task.MaxID).Draw(rt, "id")
	})
}

// Two versions never have one member, and each member is read as what it is of. No mark of remove.lua is a member.
func TestEachVersionHasItsMember(t *testing.T) {
	seen := map[string]task.Ref{}
	rapid.Check(t, func(rt *rapid.T) {
		id := likeUUIDs().Filter(func(id string) bool { return task.CheckID(id) == nil }).Draw(rt, "id")
		for _, id := range []string{id, strings.ToLower(id), strings.ToUpper(id)} {
			ref := task.Ref{ID: id, Ver: rapid.Int64().Draw(rt, "ver")}
			m := encodeMember(ref)
			if got, err := parseMember(m); err != nil || got != ref {
				rt.Errorf("%+v came back as %+v, %v", ref, got, err)
			}
			if other, is := seen[m]; is && other != ref {
				rt.Errorf("%+v and %+v have one member", ref, other)
			}
			if m[0] == 0 {
				rt.Errorf("the member of %+v begins like a mark", ref)
			}
			seen[m] = ref
		}
	})
}

// A task with a UUID and 100 bytes of payload takes at most what the pages say, and a tombstone likewise.
func TestATaskTakesAsMuchMemoryAsThePagesSay(t *testing.T) {
	const n = 1 << 14
	for kind, most := range map[testserver.Kind]struct{ task, tombstone int64 }{testserver.Redis: {320, 85}, testserver.Valkey: {270, 50}} {
		rdb := redis.NewClient(&redis.Options{Addr: testserver.Shared(t, kind).Addr})
		t.Cleanup(func() { rdb.Close() })
		s, err := NewRedis(rdb, Options{Namespace: fmt.Sprint("memory", time.Now().UnixNano())})
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 41, Limit: n})
		if err != nil {
			t.Fatal(err)
		}
		entries, held := make([]task.Entry, n), make([]task.Ref, n)
		for i := range entries {
			held[i] = task.Ref{ID: uuid.NewString(), Ver: task.NewVer()}
			entries[i] = task.Entry{Ref: held[i], NextMS: 1<<40 + int64(i), DueMS: 1<<40 + int64(i), Payload: make([]byte, 100)}
		}
		if _, err := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: entries}); err != nil {
			t.Fatal(err)
		}
		meta, waiting, tasks := s.keys[0].fixed[0], s.keys[0].fixed[1], s.keys[0].fixed[2]
		if got := memory(t, rdb, waiting, tasks) / n; got > most.task {
			t.Errorf("%v: a task takes %d bytes, want at most %d", kind, got, most.task)
		}
		if _, err := s.Remove(t.Context(), 0, "", held); err != nil {
			t.Fatal(err)
		}
		if got := memory(t, rdb, s.keys[0].fixed[4:]...) / n; got > most.tombstone || got == 0 {
			t.Errorf("%v: a tombstone takes %d bytes, want at most %d", kind, got, most.tombstone)
		}
		rdb.Unlink(context.Background(), append(s.keys[0].fixed[4:], meta)...)
	}
}

// memory returns how many bytes the server says that keys take.
func memory(t *testing.T, rdb *redis.Client, keys ...string) (sum int64) {
	t.Helper()
	for _, key := range keys {
		n, err := rdb.MemoryUsage(t.Context(), key, 0).Result()
		if err != nil && err != redis.Nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}
