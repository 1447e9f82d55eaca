// Package durabletest is the conformance suite of durable.Store: every
// implementation passes it, also a third party's.
//
//	func TestStore(t *testing.T) { durabletest.Run(t, open) }
package durabletest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// Open returns a Store that is empty and not migrated yet, closed at t's end.
type Open func(t *testing.T) durable.Store

// claim is a claim of the contract, and its test.
type claim struct {
	name string
	test func(*testing.T, durable.Store)
}

// Run runs the suite, one subtest for each claim of the contract.
func Run(t *testing.T, open Open) {
	for _, c := range slices.Concat(finding, deadClaims, historyClaims, []claim{
		{"CreatedRowsComeBackWhole", createdRowsComeBackWhole},
		{"CreateIsAllOrNone", createIsAllOrNone},
		{"CreateAgainWithTheSameVersionsSucceeds", createAgain},
		{"CreateOfManyRowsIsOneCommit", createMany},
		{"OneOfManyCreatorsWins", oneCreatorWins},
		{"GroupedCallsLearnTheirOwnResults", groupedCalls},
		{"GroupedDeletesLearnTheirOwnResults", groupedDeletes},
		{"DeleteIsFencedByVersion", deleteIsFenced},
		{"OneOfManyDeletersWins", oneDeleterWins},
		{"DeleteByIDTellsWhatItWas", deleteByIDTellsWhatItWas},
		{"DeleteByIDMeetsMovers", deleteByIDMeetsMovers},
		{"RecordsAreSwapped", recordsAreSwapped},
		{"RecordsAreApart", recordsAreApart},
		{"WindowsAreSwapped", windowsAreSwapped},
		{"TheIdentityIsMadeOnce", identityIsMadeOnce},
		{"OneOfManySwappersWins", oneSwapperWins},
		{"MoveGivesANewVersion", moveGivesNewVersion},
		{"RaiseAttemptsIsFencedAndOnlyRises", raiseAttempts}, {"VersionsAreThoseOfTheRows", versions},
		{"MovedRowsScanAtTheirNewTime", movedRowsScan},
		{"ScanIsOrderedAndComplete", scanIsOrdered},
		{"ScanLeavesLongPayloadsOut", scanLeavesLongPayloadsOut},
		{"ScanBoundsAreExact", scanBounds},
		{"GetOfManyBytesComesInParts", getInParts},
		{"ScanOfManyBytesLacksNoRow", scanInParts},
		{"IDsAreComparedAsBytes", idsAreBytes},
		{"CountIsExactUpToItsLimit", count},
		{"CountBeforeCountsARange", countBefore},
		{"CountBeforeIsExactUpToItsLimit", countBeforeItsLimit},
		{"AdvanceHidesNoRow", advanceHidesNoRow},
		{"AnEndedContextEndsCalls", endedContext},
		{"SlicesAreNotShared", slicesAreNotShared},
		{"HeadersComeBackWithTheirPayload", headersComeBack},
		{"HeadersThatAreTooLongAreRefused", longHeaders},
	}) {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			if err := s.Migrate(t.Context(), 4); err != nil {
				t.Fatalf("Migrate: %v", err)
			}
			c.test(t, s)
		})
	}
	t.Run("NotMigratedIsSaid", func(t *testing.T) { notMigrated(t, open(t)) })
	t.Run("MigrateIsSafeForManyAtOnce", func(t *testing.T) { migrateAtOnce(t, open(t)) })
	t.Run("PartitionsAreRecorded", func(t *testing.T) { partitions(t, open(t)) })
}

func row(id string, nextMS int64, payload string) task.Row {
	r := task.Row{Ref: task.Ref{ID: id, Ver: rand.Int64()}, NextMS: nextMS, DueMS: nextMS - 1, Attempt: 3, CreatedMS: 7}
	if payload != "" {
		r.Payload, r.Size = []byte(payload), len(payload)
	}
	return r
}

func rows(n int, nextMS func(i int) int64) []task.Row {
	all := make([]task.Row, n)
	for i := range all {
		all[i] = row(fmt.Sprintf("task-%06d", i), nextMS(i), "")
	}
	return all
}

func create(t *testing.T, s durable.Store, rows ...task.Row) {
	t.Helper()
	if err := s.Create(t.Context(), rows); err != nil {
		t.Fatalf("Create of %d rows: %v", len(rows), err)
	}
}

func get(t *testing.T, s durable.Store, ids ...string) map[string]task.Row {
	t.Helper()
	found, err := s.Get(t.Context(), ids)
	if err != nil {
		t.Fatalf("Get of %d ids: %v", len(ids), err)
	}
	byID := make(map[string]task.Row, len(found))
	for _, r := range found {
		byID[r.ID] = r
	}
	if len(byID) != len(found) {
		t.Fatalf("Get returned %d rows of %d ids", len(found), len(byID))
	}
	return byID
}

func scanAll(t *testing.T, s durable.Store, page int) []task.Row {
	t.Helper()
	var all []task.Row
	var at task.Cursor
	for {
		rows, err := s.Scan(t.Context(), at, task.MaxDue+1, page, 1<<20)
		if err != nil {
			t.Fatalf("Scan after %v: %v", at, err)
		}
		all = append(all, rows...)
		if len(rows) < page {
			return all
		}
		at = rows[len(rows)-1].Cursor()
	}
}

func same(a, b task.Row) bool {
	return a.Ref == b.Ref && a.NextMS == b.NextMS && a.DueMS == b.DueMS && a.Attempt == b.Attempt &&
		a.CreatedMS == b.CreatedMS && a.PrevVer == b.PrevVer && a.ExpiresMS == b.ExpiresMS && a.Size == b.Size && a.Headers == b.Headers && bytes.Equal(a.Payload, b.Payload)
}

func createdRowsComeBackWhole(t *testing.T, s durable.Store) {
	want := []task.Row{
		row("plain", 1000, "payload"), row("zero", 0, ""), row("last", task.MaxDue, "\x00\xff'\"\\"),
		row(strings.Repeat("x", task.MaxID), 5, strings.Repeat("p", 1<<16)), row("ключ 日本 😀", 5, "x"),
	}
	create(t, s, want...)
	for _, w := range want {
		if got := get(t, s, w.ID)[w.ID]; !same(got, w) {
			t.Errorf("row %.40q came back as %+.200v, want %+.200v", w.ID, got, w)
		}
	}
	if n := len(get(t, s, "plain", "absent")); n != 1 {
		t.Errorf("Get of one present and one absent id returned %d rows", n)
	}
}

func createIsAllOrNone(t *testing.T, s durable.Store) {
	create(t, s, row("b", 1, ""), row("d", 1, ""))
	err := s.Create(t.Context(), []task.Row{row("a", 1, ""), row("b", 2, ""), row("c", 1, ""), row("d", 1, "")})
	var ide *task.IDError
	if !errors.As(err, &ide) || !errors.Is(err, task.ErrExists) {
		t.Fatalf("Create over existing ids: %v, want an IDError that is ErrExists", err)
	}
	slices.Sort(ide.Exists)
	if !slices.Equal(ide.Exists, []string{"b", "d"}) {
		t.Errorf("IDError names %q, want b and d", ide.Exists)
	}
	if n := len(get(t, s, "a", "b", "c", "d")); n != 2 {
		t.Errorf("%d rows exist after a Create that failed, want 2", n)
	}
}

func createAgain(t *testing.T, s durable.Store) {
	a, b := row("a", 1, "first"), row("b", 1, "")
	create(t, s, a)
	create(t, s, a, b)
	if got := get(t, s, "a", "b"); len(got) != 2 || !same(got["a"], a) {
		t.Errorf("after a repeated Create: %v", got)
	}
}

func createMany(t *testing.T, s durable.Store) {
	all := rows(2500, func(i int) int64 { return int64(i) })
	create(t, s, all[2400])
	clash := slices.Clone(all)
	clash[2400].Ver++
	if err := s.Create(t.Context(), clash); !errors.Is(err, task.ErrExists) {
		t.Fatalf("Create of 2500 rows with one that exists: %v", err)
	}
	if n := len(scanAll(t, s, 1000)); n != 1 {
		t.Fatalf("%d rows exist after a Create that failed, want 1", n)
	}
	create(t, s, all...)
	if n := len(scanAll(t, s, 1000)); n != 2500 {
		t.Errorf("%d rows exist, want 2500", n)
	}
}

func oneCreatorWins(t *testing.T, s durable.Store) {
	var wins atomic.Int64
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			for i := range 5 {
				err := s.Create(t.Context(), []task.Row{row(fmt.Sprint("id", i), 1, "")})
				if err == nil {
					wins.Add(1)
				} else if !errors.Is(err, task.ErrExists) {
					t.Errorf("Create: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if wins.Load() != 5 {
		t.Errorf("%d creates succeeded for 5 ids", wins.Load())
	}
}

func groupedCalls(t *testing.T, s durable.Store) {
	create(t, s, row("taken", 1, ""))
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			r := []task.Row{row(fmt.Sprint("own", i), 1, "")}
			if i%10 == 0 {
				r = append(r, row("taken", 1, ""))
			}
			if err := s.Create(t.Context(), r); errors.Is(err, task.ErrExists) != (i%10 == 0) || err != nil && i%10 != 0 {
				t.Errorf("create %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := len(scanAll(t, s, 1000)); n != 55 {
		t.Errorf("%d rows exist, want 55", n)
	}
}

func groupedDeletes(t *testing.T, s durable.Store) {
	all := rows(200, func(i int) int64 { return int64(i) })
	create(t, s, all...)
	var wg sync.WaitGroup
	for i, r := range all {
		wg.Go(func() {
			ref := r.Ref
			if i%7 == 0 {
				ref.Ver++
			}
			if got, err := s.Delete(t.Context(), []task.Ref{ref}); err != nil || got[0] == (i%7 == 0) {
				t.Errorf("delete %d: %v, %v", i, got, err)
			}
		})
	}
	wg.Wait()
	if n := len(scanAll(t, s, 1000)); n != 29 {
		t.Errorf("%d rows exist, want 29", n)
	}
}

func deleteIsFenced(t *testing.T, s durable.Store) {
	a, b, c := row("a", 1, ""), row("b", 1, ""), row("c", 1, "")
	create(t, s, a, b, c)
	old := task.Ref{ID: "b", Ver: b.Ver + 1}
	if got, err := s.Delete(t.Context(), []task.Ref{old}); err != nil || got[0] {
		t.Fatalf("Delete of an old version alone answered %v, %v", got, err)
	}
	got, err := s.Delete(t.Context(), []task.Ref{a.Ref, old, {ID: "absent", Ver: 1}, c.Ref})
	if err != nil || !slices.Equal(got, []bool{true, false, false, true}) {
		t.Fatalf("Delete answered %v, %v; want [true false false true]", got, err)
	}
	if left := get(t, s, "a", "b", "c"); len(left) != 1 || !same(left["b"], b) {
		t.Errorf("left are %v, want b alone", left)
	}
	if got, err := s.Delete(t.Context(), []task.Ref{a.Ref}); err != nil || got[0] {
		t.Errorf("second Delete answered %v, %v", got, err)
	}
}

func oneDeleterWins(t *testing.T, s durable.Store) {
	all := rows(300, func(i int) int64 { return int64(i % 3) })
	create(t, s, all...)
	var wins atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 30 {
				part := all[(i+g)%30*10:][:10]
				var refs []task.Ref
				for _, r := range part {
					refs = append(refs, r.Ref)
				}
				got, err := s.Delete(t.Context(), refs)
				if err != nil {
					t.Errorf("Delete: %v", err)
				}
				for _, ok := range got {
					if ok {
						wins.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	if wins.Load() != 300 {
		t.Errorf("%d deletes succeeded for 300 rows", wins.Load())
	}
	if n := len(scanAll(t, s, 1000)); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

func moveGivesNewVersion(t *testing.T, s durable.Store) {
	a := row("a", 10, "payload")
	create(t, s, a)
	to := a
	to.Ver, to.NextMS, to.DueMS, to.Attempt, to.Payload = a.Ver+1, 99, 98, 5, nil
	for _, try := range []string{"first", "repeated"} {
		if ok, err := s.Move(t.Context(), a.Ref, to); !ok || err != nil {
			t.Fatalf("%s Move answered %v, %v", try, ok, err)
		}
	}
	want := to
	want.Payload, want.PrevVer = a.Payload, a.Ver
	if got := get(t, s, "a")["a"]; !same(got, want) {
		t.Errorf("moved row is %+v, want %+v", got, want)
	}
	other := to
	other.Ver += 7
	if ok, err := s.Move(t.Context(), a.Ref, other); ok || err != nil {
		t.Errorf("Move of an old version answered %v, %v", ok, err)
	}
	if got, err := s.Delete(t.Context(), []task.Ref{a.Ref}); err != nil || got[0] {
		t.Errorf("Delete of the old version answered %v, %v", got, err)
	}
	if ok, err := s.Move(t.Context(), task.Ref{ID: "absent", Ver: 1}, row("absent", 1, "")); ok || err != nil {
		t.Errorf("Move of an absent row answered %v, %v", ok, err)
	}
}

func versions(t *testing.T, s durable.Store) {
	all := rows(300, func(i int) int64 { return int64(i) })
	create(t, s, all...)
	if moved, err := s.Move(t.Context(), all[7].Ref, task.Row{Ref: task.Ref{ID: all[7].ID, Ver: 1}, NextMS: 9}); !moved || err != nil {
		t.Fatalf("Move answered %v, %v", moved, err)
	}
	all[7].Ver = 1
	if _, err := s.Delete(t.Context(), []task.Ref{all[8].Ref}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for k := range 100 { // many callers at once, each with ids of its own and one that all name
		wg.Go(func() {
			got, err := s.Versions(t.Context(), []string{all[7].ID, "absent", all[8].ID, all[9+k].ID})
			slices.SortFunc(got, func(a, b task.Ref) int { return strings.Compare(a.ID, b.ID) })
			if want := []task.Ref{all[7].Ref, all[9+k].Ref}; err != nil || !slices.Equal(got, want) {
				t.Errorf("Versions answered %v, %v, want %v", got, err, want)
			}
		})
	}
	wg.Wait()
	if got, err := s.Versions(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("Versions of nothing: %v, %v", got, err)
	}
}

func endedContext(t *testing.T, s durable.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, delErr := s.Delete(ctx, []task.Ref{{ID: "a"}})
	_, getErr := s.Get(ctx, []string{"a"})
	_, scanErr := s.Scan(ctx, task.Cursor{}, 1, 1, 0)
	for act, err := range map[string]error{
		"Create": s.Create(ctx, []task.Row{row("a", 1, "")}), "Delete": delErr, "Get": getErr, "Scan": scanErr, "Advance": s.Advance(ctx, 1),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v", act, err)
		}
	}
	if n := len(get(t, s, "a")); n != 0 {
		t.Errorf("Create with an ended context stored %d rows", n)
	}
}

func slicesAreNotShared(t *testing.T, s durable.Store) {
	in := []task.Row{row("a", 1, "before")}
	create(t, s, in...)
	copy(in[0].Payload, "AFTER!")
	first := get(t, s, "a")["a"]
	if string(first.Payload) != "before" {
		t.Errorf("the store kept the caller's slice: %q", first.Payload)
	}
	copy(first.Payload, "AFTER!")
	if again := get(t, s, "a")["a"]; string(again.Payload) != "before" {
		t.Errorf("the store returned its own slice: %q", again.Payload)
	}
}

func notMigrated(t *testing.T, s durable.Store) {
	_, getErr := s.Get(t.Context(), []string{"a"})
	for act, err := range map[string]error{
		"Check": s.Check(t.Context(), 1), "Create": s.Create(t.Context(), []task.Row{row("a", 1, "")}), "Get": getErr,
	} {
		if !errors.Is(err, task.ErrNotMigrated) {
			t.Errorf("%s before Migrate: %v, want ErrNotMigrated", act, err)
		}
	}
}

func migrateAtOnce(t *testing.T, s durable.Store) {
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := s.Migrate(t.Context(), 2); err != nil {
				t.Errorf("Migrate: %v", err)
			}
		})
	}
	wg.Wait()
	if err := s.Check(t.Context(), 2); err != nil {
		t.Errorf("Check: %v", err)
	}
}

func partitions(t *testing.T, s durable.Store) {
	if err := s.Migrate(t.Context(), 3); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	create(t, s, row("a", 1, ""))
	for act, err := range map[string]error{"Check": s.Check(t.Context(), 4), "Migrate": s.Migrate(t.Context(), 4)} {
		if !errors.Is(err, task.ErrMismatch) {
			t.Errorf("%s with 4 partitions where 3 are recorded: %v", act, err)
		}
	}
	if err := s.Check(t.Context(), 3); err != nil {
		t.Errorf("Check with what is recorded: %v", err)
	}
	if n := len(get(t, s, "a")); n != 1 {
		t.Errorf("%d rows exist after a second Migrate, want 1", n)
	}
}
