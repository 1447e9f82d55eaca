package durabletest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// deadClaims are those of dead letters and expiries.
var deadClaims = []claim{
	{"ExpiriesComeBack", expiriesComeBack},
	{"BuriedRowsAreDeadLetters", buriedRowsAreDeadLetters},
	{"BadBurialsAreRefused", badBurialsAreRefused},
	{"BuriedPayloadsAreBounded", buriedPayloadsAreBounded},
	{"ARowEndsOnce", aRowEndsOnce},
	{"DeadLettersAreListedInOrder", deadLettersAreListedInOrder},
	{"RequeueMakesARow", requeueMakesARow},
	{"OneRequeueWins", oneRequeueWins},
	{"PurgeDeletesTheOld", purgeDeletesTheOld},
	{"DeleteDeadDeletesVersions", deleteDeadDeletesVersions},
}

// burialOf returns a burial of r at that time.
func burialOf(r task.Row, deadMS int64) task.Burial {
	return task.Burial{Ref: r.Ref, Reason: task.ReasonAttempts, Attempt: 4, LastError: "why " + r.ID, DeadMS: deadMS}
}

// letterOf returns the dead letter that b makes of r.
func letterOf(r task.Row, b task.Burial) task.Dead {
	return task.Dead{Burial: b, DueMS: r.DueMS, CreatedMS: r.CreatedMS, ExpiresMS: r.ExpiresMS, Payload: r.Payload, Headers: r.Headers}
}

func sameDead(a, b task.Dead) bool {
	return a.Burial == b.Burial && a.DueMS == b.DueMS && a.CreatedMS == b.CreatedMS && a.ExpiresMS == b.ExpiresMS &&
		bytes.Equal(a.Payload, b.Payload) && a.Headers == b.Headers && (a.Payload == nil) == (len(a.Payload) == 0)
}

func bury(t *testing.T, s durable.Store, burials ...task.Burial) []bool {
	t.Helper()
	dead, err := s.Bury(t.Context(), burials)
	if err != nil || len(dead) != len(burials) {
		t.Fatalf("Bury of %d tasks: %d answers, %v", len(burials), len(dead), err)
	}
	return dead
}

// allDead lists what f means, page by page.
func allDead(t *testing.T, s durable.Store, f task.DeadFilter, limit int) (all []task.Dead) {
	t.Helper()
	var at task.DeadCursor
	for {
		page, err := s.Dead(t.Context(), f, at, limit)
		if err != nil || len(page.Dead) > limit {
			t.Fatalf("Dead of %+v after %+v: %d dead letters, %v", f, at, len(page.Dead), err)
		}
		all = append(all, page.Dead...)
		if !page.More {
			return all
		}
		if page.Next == at {
			t.Fatalf("Dead of %+v after %+v: more follow, and the next page begins where this one did", f, at)
		}
		at = page.Next
	}
}

// buriedRowsAreDeadLetters: Bury moves the versions named, whole, and says so again if it is repeated.
func buriedRowsAreDeadLetters(t *testing.T, s durable.Store) {
	a, b, c := withHeaders("a", 5, "pay\x00load", `{"k":"v"}`), row("é'\"\\", 6, ""), row("c", 7, "stays")
	a.ExpiresMS = 99
	create(t, s, a, b, c)
	ofA, ofB := burialOf(a, 50), burialOf(b, 50)
	ofA.LastError, ofA.Attempt = strings.Repeat("é", task.MaxLastError/2), 0
	ofB.Reason, ofB.LastError = task.ReasonDiscarded+": \x00\xff", ""
	old, absent := burialOf(c, 50), burialOf(row("absent", 1, ""), 50)
	old.Ver++
	burials := []task.Burial{old, ofA, absent, ofB}
	for _, try := range []string{"first", "repeated"} {
		if got := bury(t, s, burials...); !slices.Equal(got, []bool{false, true, false, true}) {
			t.Errorf("the %s Bury answered %v, want false, true, false, true", try, got)
		}
	}
	if left := scanAll(t, s, 10); len(left) != 1 || !same(left[0], c) {
		t.Errorf("left are %v, want c alone", left)
	}
	got, want := allDead(t, s, task.DeadFilter{}, 10), []task.Dead{letterOf(a, ofA), letterOf(b, ofB)}
	if !slices.EqualFunc(got, want, sameDead) {
		t.Errorf("dead are %+v, want %+v", got, want)
	}
	create(t, s, row("a", 1, "")) // an ID that is dead is free
	if got := bury(t, s); len(got) != 0 {
		t.Errorf("Bury of nothing answered %v", got)
	}
}

// badBurialsAreRefused: nothing is moved if one burial breaks a rule.
func badBurialsAreRefused(t *testing.T, s durable.Store) {
	a, b := row("a", 1, ""), row("b", 1, "")
	create(t, s, a, b)
	for name, spoil := range map[string]func(*task.Burial){
		"no reason":   func(b *task.Burial) { b.Reason = "" },
		"long reason": func(b *task.Burial) { b.Reason = strings.Repeat("x", task.MaxReason+1) },
		"long error":  func(b *task.Burial) { b.LastError = strings.Repeat("x", task.MaxLastError+1) },
		"attempt":     func(b *task.Burial) { b.Attempt = -1 },
		"time":        func(b *task.Burial) { b.DeadMS = -1 },
	} {
		bad := burialOf(b, 1)
		spoil(&bad)
		if _, err := s.Bury(t.Context(), []task.Burial{burialOf(a, 1), bad}); !errors.Is(err, task.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if n := len(get(t, s, "a", "b")); n != 2 {
		t.Errorf("%d rows are left, want 2", n)
	}
}

// buriedPayloadsAreBounded: dead letters of many bytes come in several pages, of which each has at most task.MostBytes, and none is lacking.
func buriedPayloadsAreBounded(t *testing.T, s durable.Store) {
	const n, long = 7, task.MostBytes / 3
	var burials []task.Burial
	for i := range n {
		r := row(fmt.Sprint("long", i), 1, strings.Repeat(fmt.Sprint(i), long))
		create(t, s, r)
		burials = append(burials, burialOf(r, int64(i)))
	}
	if got := bury(t, s, burials...); slices.Contains(got, false) {
		t.Errorf("Bury answered %v", got)
	}
	for _, f := range []task.DeadFilter{{}, {IDPrefix: "long"}} {
		page, err := s.Dead(t.Context(), f, task.DeadCursor{}, 100)
		if err != nil || !page.More || len(page.Dead) == 0 || len(page.Dead) > 3 {
			t.Errorf("the first page of %+v has %d dead letters of %d bytes, more: %t, %v", f, len(page.Dead), long, page.More, err)
		}
		all := allDead(t, s, f, 100)
		for i, d := range all {
			if d.ID != fmt.Sprint("long", i) || string(d.Payload) != strings.Repeat(fmt.Sprint(i), long) {
				t.Errorf("dead letter %d is %q with %d bytes", i, d.ID, len(d.Payload))
			}
		}
		if len(all) != n {
			t.Errorf("%d dead letters are listed, want %d", len(all), n)
		}
	}
}

// aRowEndsOnce: of a Bury and a Delete of the same version, and of many at once, one takes the row.
func aRowEndsOnce(t *testing.T, s durable.Store) {
	all := rows(200, func(i int) int64 { return int64(i) })
	create(t, s, all...)
	var deletes atomic.Int64
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20 {
				part := all[(i+5*g)%20*10:][:10]
				var burials []task.Burial
				var refs []task.Ref
				for _, r := range part {
					burials, refs = append(burials, burialOf(r, 1)), append(refs, r.Ref)
				}
				if g%2 == 0 {
					bury(t, s, burials...)
					continue
				}
				got, err := s.Delete(t.Context(), refs)
				if err != nil {
					t.Errorf("Delete: %v", err)
				}
				for _, deleted := range got {
					if deleted {
						deletes.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	if dead := int64(len(allDead(t, s, task.DeadFilter{}, 1000))); dead+deletes.Load() != 200 || len(scanAll(t, s, 1000)) != 0 {
		t.Errorf("%d rows are dead and %d deleted of 200, and %d are left", dead, deletes.Load(), len(scanAll(t, s, 1000)))
	}
}

// deadLettersAreListedInOrder: each filter and each size of a page gives what it means, complete and in order.
func deadLettersAreListedInOrder(t *testing.T, s durable.Store) {
	var want []task.Dead
	ids := []string{"a", "a/1", "a/2", "a/10", "b", "é", "\U0010ffff1", "\U0010ffff"}
	for round := range 3 {
		for i, id := range ids {
			r := row(id, 1, id)
			r.Ver = int64(1 + i*7%5 + 10*(round-1)) // some below 0
			create(t, s, r)
			b := burialOf(r, int64(10+(i+round)%3)) // many in one millisecond
			b.Reason = []string{task.ReasonExpired, task.ReasonDiscarded, task.ReasonDiscarded + ": bad address"}[i%3]
			bury(t, s, b)
			want = append(want, letterOf(r, b))
		}
	}
	for _, f := range []task.DeadFilter{
		{}, {FromMS: 11}, {BeforeMS: 12}, {FromMS: 11, BeforeMS: 12}, {FromMS: 13}, {Reason: task.ReasonDiscarded}, {Reason: task.ReasonDiscarded + ":"}, {Reason: "none"},
		{IDPrefix: "a"}, {IDPrefix: "a/"}, {IDPrefix: "a/1", FromMS: 11}, {IDPrefix: "\U0010ffff"}, {IDPrefix: "\xff"}, {IDPrefix: "\xf4"},
		{IDPrefix: "a", Reason: task.ReasonExpired, BeforeMS: 12}, {IDPrefix: "none"},
	} {
		meant := slices.DeleteFunc(slices.Clone(want), func(d task.Dead) bool { return !f.Matches(d) })
		slices.SortFunc(meant, func(a, b task.Dead) int {
			byID := cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.Ver, b.Ver))
			if f.IDPrefix != "" {
				return byID
			}
			return cmp.Or(cmp.Compare(a.DeadMS, b.DeadMS), byID)
		})
		for _, limit := range []int{1, 2, 5, 24, 1000} {
			if got := allDead(t, s, f, limit); !slices.EqualFunc(got, meant, sameDead) {
				t.Errorf("%+v in pages of %d: %d dead letters %+v, want %d", f, limit, len(got), got, len(meant))
			}
		}
	}
}

// requeueMakesARow: a dead letter becomes a row of another version and time, and is a dead letter no more.
func requeueMakesARow(t *testing.T, s durable.Store) {
	a := withHeaders("a", 5, "payload", `{"k":"v"}`)
	a.ExpiresMS = 50
	create(t, s, a)
	bury(t, s, burialOf(a, 60))
	to := task.Row{Ref: task.Ref{ID: "a", Ver: 77}, NextMS: 1000, DueMS: 999, Attempt: 9, CreatedMS: 9, PrevVer: 9, ExpiresMS: 9, Payload: []byte("x")}
	if ok, err := s.Requeue(t.Context(), task.Ref{ID: "a", Ver: a.Ver + 1}, to); ok || err != nil {
		t.Errorf("Requeue of another version answered %v, %v", ok, err)
	}
	living := row("a", 1, "living")
	create(t, s, living)
	var ide *task.IDError
	if ok, err := s.Requeue(t.Context(), a.Ref, to); ok || !errors.As(err, &ide) || !slices.Equal(ide.Exists, []string{"a"}) {
		t.Errorf("Requeue beside a living task answered %v, %v; want ErrExists that names it", ok, err)
	}
	if n := len(allDead(t, s, task.DeadFilter{}, 10)); n != 1 || !same(get(t, s, "a")["a"], living) {
		t.Errorf("after that there are %d dead letters, and the living task is %+v", n, get(t, s, "a")["a"])
	}
	if _, err := s.Delete(t.Context(), []task.Ref{living.Ref}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if ok, err := s.Requeue(t.Context(), a.Ref, to); ok != want || err != nil {
			t.Errorf("Requeue answered %v, %v; want %v", ok, err, want)
		}
	}
	want := a
	want.Ref, want.NextMS, want.DueMS, want.Attempt, want.ExpiresMS = to.Ref, to.NextMS, to.DueMS, 0, 0
	if got := get(t, s, "a")["a"]; !same(got, want) || len(allDead(t, s, task.DeadFilter{}, 10)) != 0 {
		t.Errorf("the row is %+v, want %+v and no dead letter", got, want)
	}
	if got := bury(t, s, burialOf(a, 61)); got[0] {
		t.Error("Bury of a version that was requeued says that it is dead")
	}
}

// oneRequeueWins: of many that requeue one dead letter, one does.
func oneRequeueWins(t *testing.T, s durable.Store) {
	a := row("a", 1, "payload")
	create(t, s, a)
	bury(t, s, burialOf(a, 1))
	var wins atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			ok, err := s.Requeue(t.Context(), a.Ref, task.Row{Ref: task.Ref{ID: "a", Ver: int64(100 + i)}, NextMS: 5})
			if ok {
				wins.Add(1)
			}
			if err != nil && !errors.Is(err, task.ErrExists) {
				t.Errorf("Requeue: %v", err)
			}
		})
	}
	wg.Wait()
	if n := len(scanAll(t, s, 10)); wins.Load() != 1 || n != 1 {
		t.Errorf("%d calls requeued it, and there are %d rows", wins.Load(), n)
	}
}

// purgeDeletesTheOld: what died before a time is deleted, and counted, however much it is.
func purgeDeletesTheOld(t *testing.T, s durable.Store) {
	all := rows(2300, func(i int) int64 { return int64(i) })
	create(t, s, all...)
	var burials []task.Burial
	for i, r := range all {
		b := burialOf(r, int64(i/1150)) // many in one millisecond
		b.LastError = "the same"
		burials = append(burials, b)
	}
	bury(t, s, burials...)
	for _, c := range []struct {
		limit int
		exact bool
	}{{2300, true}, {2299, false}, {10, false}} {
		n, exact, err := s.CountDead(t.Context(), c.limit)
		if err != nil || exact != c.exact || exact && n != 2300 || !exact && n <= int64(c.limit) {
			t.Errorf("CountDead up to %d answered %d, exact: %t, %v", c.limit, n, exact, err)
		}
	}
	for _, c := range []struct{ before, deleted, left int64 }{{0, 0, 2300}, {1, 1150, 1150}, {1, 0, 1150}, {task.MaxDue, 1150, 0}} {
		n, err := s.PurgeDead(t.Context(), c.before)
		left, exact, e := s.CountDead(t.Context(), 5000)
		if n != c.deleted || left != c.left || !exact || err != nil || e != nil {
			t.Errorf("PurgeDead of what died before %d deleted %d and left %d, %v, %v; want %d and %d", c.before, n, left, err, e, c.deleted, c.left)
		}
	}
}

// deleteDeadDeletesVersions: dead letters are deleted by version, those that exist, and no others.
func deleteDeadDeletesVersions(t *testing.T, s durable.Store) {
	a, b, again := row("a", 1, "x"), row("b", 2, ""), row("a", 3, "y")
	create(t, s, a, b)
	bury(t, s, burialOf(a, 1), burialOf(b, 1))
	create(t, s, again)
	bury(t, s, burialOf(again, 2))
	unknown := task.Ref{ID: "a", Ver: again.Ver + 1}
	for _, c := range []struct {
		refs []task.Ref
		want int64
	}{{nil, 0}, {[]task.Ref{unknown}, 0}, {[]task.Ref{b.Ref, a.Ref, unknown}, 2}, {[]task.Ref{b.Ref, a.Ref}, 0}} {
		if n, err := s.DeleteDead(t.Context(), c.refs); n != c.want || err != nil {
			t.Errorf("DeleteDead of %d deleted %d, %v; want %d", len(c.refs), n, err, c.want)
		}
	}
	page, err := s.Dead(t.Context(), task.DeadFilter{}, task.DeadCursor{}, 10)
	if err != nil || len(page.Dead) != 1 || page.Dead[0].Ref != again.Ref {
		t.Errorf("left are %+v, %v; want the second death of a", page.Dead, err)
	}
	if n, exact, err := s.CountDead(t.Context(), 10); n != 1 || !exact || err != nil {
		t.Errorf("CountDead: %d, %t, %v; want 1", n, exact, err)
	}
}

// expiriesComeBack: some rows expire, and a move changes nothing of that.
func expiriesComeBack(t *testing.T, s durable.Store) {
	a, b, c := row("a", 1, "x"), row("b", 2, ""), row("c", 3, "")
	a.ExpiresMS, c.ExpiresMS = 10, task.MaxDue
	create(t, s, a, b)
	create(t, s, c)
	for _, got := range scanAll(t, s, 10) {
		if want := map[string]task.Row{"a": a, "b": b, "c": c}[got.ID]; !same(got, want) || !same(get(t, s, got.ID)[got.ID], want) {
			t.Errorf("the row is %+v, want %+v", got, want)
		}
	}
	to := row("a", 5, "")
	if ok, err := s.Move(t.Context(), a.Ref, to); !ok || err != nil {
		t.Fatalf("Move answered %v, %v", ok, err)
	}
	if got := get(t, s, "a")["a"]; got.ExpiresMS != 10 || got.Ver != to.Ver {
		t.Errorf("the moved row is %+v, want one that expires at 10", got)
	}
	if _, err := s.DeleteByID(t.Context(), []string{"a"}, task.MaxDue); err != nil {
		t.Fatal(err)
	}
	again := row("a", 1, "")
	create(t, s, again)
	if got := get(t, s, "a")["a"]; !same(got, again) {
		t.Errorf("a new row of that ID is %+v, want %+v", got, again)
	}
}
