package task_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Where a task lies must not change with a version of this library.
func TestPartitionIsTheCRCOfTheID(t *testing.T) {
	for i := range 1000 {
		id := fmt.Sprint("id ", i, strings.Repeat("ü", i%50))
		for _, n := range []int{1, 2, 4, 7, 256} {
			if got, want := task.Partition(id, n), int(crc32.ChecksumIEEE([]byte(id))%uint32(n)); got != want {
				t.Fatalf("Partition(%q, %d) = %d, want %d", id, n, got, want)
			}
		}
	}
}

func TestDueIsRoundedUp(t *testing.T) {
	ms := time.Date(2026, 11, 24, 18, 0, 0, 5e6, time.UTC)
	for due, want := range map[time.Time]int64{
		ms:                               ms.UnixMilli(),
		ms.Add(1):                        ms.UnixMilli() + 1,
		ms.Add(999_999):                  ms.UnixMilli() + 1,
		ms.Add(1_000_000):                ms.UnixMilli() + 1,
		ms.In(time.FixedZone("x", 7200)): ms.UnixMilli(),
		time.UnixMilli(0):                0,
	} {
		if got, err := task.DueMS(due); err != nil || got != want {
			t.Errorf("DueMS(%s) = %d, %v, want %d", due, got, err, want)
		}
	}
	for _, due := range []time.Time{{}, time.UnixMilli(-1), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<40, 0)} {
		if got, err := task.DueMS(due); !errors.Is(err, task.ErrInvalid) {
			t.Errorf("DueMS(%s) = %d, %v, want ErrInvalid", due, got, err)
		}
	}
}

func BenchmarkPartition(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		task.Partition("0191f0c4-7a3e-7cc1-a3b2-5a0f9d6f2b11", 16)
	}
}

// An empty id names nothing: it is counted.
func TestIDErrorPrintsNoEmptyID(t *testing.T) {
	for want, ids := range map[string][]string{
		`task exists: "a"`:                                          {"a"},
		`task exists: "a", "b", "c"`:                                {"a", "b", "c"},
		`task exists: "a", "b", "c" and 1 more`:                     {"a", "b", "c", "d"},
		`task exists: 2 without an id`:                              {"", ""},
		`task exists: "a", 1 without an id`:                         {"", "a"},
		`task exists: "a", "b", "c" and 2 more, 2 without an id`:    {"", "a", "b", "c", "d", "e", ""},
		`task exists: "` + strings.Repeat("x", task.MaxID) + `"`:    {strings.Repeat("x", task.MaxID)},
		`task exists: "` + strings.Repeat("x", task.MaxID) + `"...`: {strings.Repeat("x", 1<<20)}, // one that is refused may be long
	} {
		if got := (&task.IDError{Exists: ids}).Error(); got != want {
			t.Errorf("of %q it reads %s, want %s", ids, got, want)
		}
	}
}
