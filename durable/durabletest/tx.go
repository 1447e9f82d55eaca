package durabletest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// OpenTx returns a TxStore that is empty and not migrated yet, closed at t's end, and a function that begins a transaction of
// a caller's own on its database, with a level of isolation that callers may use. If reads of that level show the
// database as of one moment, that moment has passed when begin returns. What is still open at t's end is rolled back.
type OpenTx func(t *testing.T) (s durable.TxStore, begin func() task.Tx)

// RunTx runs the suite of stores whose rows can be changed in a transaction of a caller's own (durable.TxStore), one subtest for
// each claim of that contract. Such a store passes Run too.
func RunTx(t *testing.T, open OpenTx) {
	for _, c := range []struct {
		name string
		test func(txWorld)
	}{
		{"ATransactionTakesEffectIffItCommits", takesEffectIffItCommits},
		{"ATransactionGoesOnAfterADuplicate", goesOnAfterADuplicate},
		{"LockedRowsSayWhatTheHotSetMayHold", lockedRowsSayWhatIsCommitted},
		{"ALookForAnAbsentTaskHoldsUpNoCreator", absentTasksHoldUpNoCreator},
		{"WhatIsNotLockedIsRefused", notLockedIsRefused},
		{"EntriesAreReadInPages", entriesAreReadInPages},
		{"EachNoteIsAnotherText", eachNoteIsAnother},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, begin := open(t)
			w := txWorld{T: t, TxStore: s, begin: begin}
			w.must(s.Migrate(t.Context(), 1))
			c.test(w)
		})
	}
}

// txWorld is a migrated TxStore.
type txWorld struct {
	*testing.T
	durable.TxStore
	begin func() task.Tx
}

func (w txWorld) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// lock locks ids, of which all exist.
func (w txWorld) lock(tx task.Tx, ids ...string) []task.LockedRow {
	w.Helper()
	rows, err := w.LockTx(w.Context(), tx, ids)
	if err != nil || len(rows) != len(ids) {
		w.Fatalf("LockTx of %d rows answered %v, %v", len(ids), rows, err)
	}
	return rows
}

// holds checks what is committed: the versions of rows, and those that entries name.
func (w txWorld) holds(what string, rows, entries []int64) {
	w.Helper()
	found, err := w.Scan(w.Context(), task.Cursor{}, task.MaxDue, 1000, 0)
	w.must(err)
	page, err := w.Outbox(w.Context(), 0, 1000)
	w.must(err)
	var got, named []int64
	for _, r := range found {
		got = append(got, r.Ver)
	}
	for _, e := range page {
		named = append(named, e.Ver)
	}
	slices.Sort(got)
	slices.Sort(named)
	if !slices.Equal(got, rows) || !slices.Equal(named, entries) {
		w.Errorf("%s: rows have the versions %v and entries name %v, want %v and %v", what, got, named, rows, entries)
	}
}

func txRow(id string, ver int64) task.Row {
	return task.Row{Ref: task.Ref{ID: id, Ver: ver}, NextMS: 1000 + ver, DueMS: 1000 + ver, Payload: []byte("of " + id), Headers: `{"k":"v"}`}
}

// What a transaction does exists if and only if it commits, and its entries with it.
func takesEffectIffItCommits(w txWorld) {
	ctx := w.Context()
	for _, commit := range []bool{false, true} {
		tx := w.begin()
		w.must(w.CreateTx(ctx, tx, []task.Row{txRow("b", 2), txRow("a", 1)}))
		w.holds("before the end of a creation", nil, nil)
		if !commit {
			w.must(tx.Rollback())
			w.holds("after a rollback", nil, nil)
			continue
		}
		w.must(tx.Commit())
		w.holds("after a commit", []int64{1, 2}, []int64{1, 2})
	}
	got, err := w.Get(ctx, []string{"a"})
	if err != nil || len(got) != 1 || string(got[0].Payload) != "of a" || got[0].Headers != `{"k":"v"}` || got[0].NextMS != 1001 {
		w.Errorf("the created row is %+v, %v", got, err)
	}
	for _, commit := range []bool{false, true} {
		tx := w.begin()
		w.must(w.MoveTx(ctx, tx, w.lock(tx, "a")[0], txRow("a", 3)))
		w.must(w.DeleteTx(ctx, tx, w.lock(tx, "b")))
		w.holds("before the end of a move and a deletion", []int64{1, 2}, []int64{1, 2})
		if !commit {
			w.must(tx.Rollback())
			w.holds("after the rollback of a move and a deletion", []int64{1, 2}, []int64{1, 2})
			continue
		}
		w.must(tx.Commit())
		w.holds("after a move and a deletion", []int64{3}, []int64{1, 1, 2, 2, 3})
	}
}

// A transaction that has met an id that exists goes on as if the call had not been made.
func goesOnAfterADuplicate(w txWorld) {
	ctx := w.Context()
	tx := w.begin()
	w.must(w.Create(ctx, []task.Row{txRow("m", 1)}))
	many := []task.Row{txRow("m", 9999)} // the last by its time, so that it comes in the second statement
	for i := range 1500 {
		many = append(many, txRow(fmt.Sprint("c", i), int64(10+i)))
	}
	slices.Reverse(many)
	for _, rows := range [][]task.Row{many, {txRow("a", 8), txRow("m", 9)}} {
		err := w.CreateTx(ctx, tx, rows)
		var ids *task.IDError
		if !errors.As(err, &ids) || !slices.Equal(ids.Exists, []string{"m"}) {
			w.Fatalf("CreateTx of %d rows with an id that exists: %v", len(rows), err)
		}
	}
	w.must(w.CreateTx(ctx, tx, []task.Row{txRow("b", 2)}))
	if err := w.CreateTx(ctx, tx, []task.Row{txRow("b", 3)}); !errors.Is(err, task.ErrExists) {
		w.Errorf("CreateTx of what the transaction has created: %v", err)
	}
	w.must(tx.Commit())
	w.holds("after the commit", []int64{1, 2}, []int64{2})
}

// A transaction sees its own changes, and those that were committed since it began; what it has made itself is not committed.
func lockedRowsSayWhatIsCommitted(w txWorld) {
	ctx := w.Context()
	tx := w.begin()
	w.must(w.Create(ctx, []task.Row{txRow("a", 1)}))
	if _, err := w.Move(ctx, task.Ref{ID: "a", Ver: 1}, txRow("a", 2)); err != nil {
		w.Fatal(err)
	}
	w.must(w.CreateTx(ctx, tx, []task.Row{txRow("b", 5)}))
	rows, err := w.LockTx(ctx, tx, []string{"absent", "b", "a"})
	w.must(err)
	slices.SortFunc(rows, func(x, y task.LockedRow) int { return int(x.Ver - y.Ver) })
	want := []task.LockedRow{{Ref: task.Ref{ID: "a", Ver: 2}, PrevVer: 1, Committed: true}, {Ref: task.Ref{ID: "b", Ver: 5}}}
	if !slices.Equal(rows, want) {
		w.Fatalf("LockTx answered %+v, want %+v", rows, want)
	}
	w.must(w.MoveTx(ctx, tx, rows[0], txRow("a", 3)))
	again := w.lock(tx, "a")[0]
	if again.Ver != 3 || again.PrevVer != 2 || again.Committed {
		w.Errorf("after a move in the transaction LockTx answered %+v", again)
	}
	w.must(w.MoveTx(ctx, tx, again, txRow("a", 4))) // the hot set may hold 2, and cannot hold 3
	w.must(tx.Commit())
	got, err := w.DeleteByID(ctx, []string{"a"}, task.MaxDue)
	if err != nil || len(got) != 1 || got[0].Ver != 4 || got[0].PrevVer != 2 {
		w.Errorf("after two moves in one transaction the row is %+v, %v; want version 4 after 2", got, err)
	}
}

// An open transaction that has looked for a task that does not exist holds up no creator.
func absentTasksHoldUpNoCreator(w txWorld) {
	rows, err := w.LockTx(w.Context(), w.begin(), []string{"zzz"})
	if err != nil || len(rows) != 0 {
		w.Fatalf("LockTx answered %v, %v", rows, err)
	}
	w.must(w.Create(w.Context(), []task.Row{txRow("zzy", 1), txRow("zzzz", 2)}))
}

// What the transaction has not locked it does not change, and a transaction that has ended is refused.
func notLockedIsRefused(w txWorld) {
	ctx := w.Context()
	unlocked := task.LockedRow{Ref: task.Ref{ID: "absent", Ver: 1}}
	if err := w.DeleteTx(ctx, w.begin(), []task.LockedRow{unlocked}); !errors.Is(err, task.ErrInvalid) {
		w.Errorf("DeleteTx of a row that is not locked: %v", err)
	}
	if err := w.MoveTx(ctx, w.begin(), unlocked, txRow("absent", 2)); !errors.Is(err, task.ErrInvalid) {
		w.Errorf("MoveTx of a row that is not locked: %v", err)
	}
	ended := w.begin()
	w.must(ended.Rollback())
	if err := w.CreateTx(ctx, ended, []task.Row{txRow("a", 1)}); !errors.Is(err, task.ErrInvalid) {
		w.Errorf("CreateTx in a transaction that has ended: %v", err)
	}
	w.holds("after all that", nil, nil)
}

// Entries come in the order of their keys, each once, and those alone go that are named.
func entriesAreReadInPages(w txWorld) {
	ctx := w.Context()
	tx := w.begin()
	w.must(w.CreateTx(ctx, tx, []task.Row{txRow("a", 1), txRow("b", 2), txRow("c", 3)}))
	w.must(tx.Commit())
	first, err := w.Outbox(ctx, 0, 2)
	w.must(err)
	if len(first) != 2 || first[0].Key < 1 || first[0].Key >= first[1].Key {
		w.Fatalf("the first page of two is %v", first)
	}
	rest, err := w.Outbox(ctx, first[1].Key, 2)
	w.must(err)
	if len(rest) != 1 || rest[0].Key <= first[1].Key {
		w.Fatalf("the page after %v is %v", first, rest)
	}
	w.must(w.DeleteOutbox(ctx, []int64{first[0].Key, rest[0].Key, rest[0].Key + 1}))
	w.must(w.DeleteOutbox(ctx, nil))
	w.holds("after the deletion of the first and the last", []int64{1, 2, 3}, []int64{first[1].Ver})
}

// Each note is another text, and any process sees it in the records.
func eachNoteIsAnother(w txWorld) {
	seen := map[string]bool{"": true}
	for range 2 {
		w.must(w.NoteTxUse(w.Context()))
		all, err := w.Records(w.Context())
		w.must(err)
		text := all.Values[task.RecordTxUse]
		if seen[text] {
			w.Errorf("the record is %q, want another text than %v", text, seen)
		}
		seen[text] = true
	}
}
