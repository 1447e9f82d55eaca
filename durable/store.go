// Package durable keeps every unfinished task: a row exists in its Store if and
// only if the task is unfinished. NewMySQL is the Store for production;
// durable/bolt is the embedded one; durabletest is the suite that both pass.
package durable

import (
	"context"

	"github.com/triggerhook/triggerhook/task"
)

// Store keeps the rows of one namespace. All methods may be called by any
// number of goroutines at once. Slices handed to a method are not changed, and not
// retained after it returns; what a method returns belongs to the caller.
//
// A method that returns nil from a write has made it durable. If ctx ends in
// mid-write the outcome is unknown, and the error matches ctx.Err(). Deadlocks,
// waits for a row's lock and lost connections are tried again: at most 4 tries, none later
// than 2 s after the first one failed, and none after ctx has ended. Errors match a sentinel of package task where one fits:
// ErrUnavailable, ErrDiskFull, ErrReadOnly, ErrTooLarge, ErrNotMigrated, ErrRefused, and
// ErrClosed once the store is closed.
//
// Headers are kept as task.EncodeHeaders writes them: a JSON object of strings with sorted keys, which SQL can
// read. Where there are none the column is NULL in MySQL. Wherever bytes of payloads are counted, headers are counted with
// them. Where a payload is left out its headers are left out too.
//
// A write must hold against concurrent writers in this and other processes;
// reads see every write that returned before the read began.
type Store interface {
	// Namespace returns the namespace of the store. No I/O.
	Namespace() string

	// Migrate brings the schema up to date, and records the number of partitions
	// and a random identity if none is recorded yet. The identity never changes. Any
	// number of processes may call it at once. A schema that is newer than this library, and
	// declares that this library works with it, is left as it is.
	//
	// ErrMismatch: another number of partitions is recorded (the schema may have been brought up
	// to date nevertheless). ErrRefused: the schema is newer and does not declare that this
	// library works with it, or the store cannot work with a setting of the server.
	Migrate(ctx context.Context, partitions int) error

	// Check reports whether this library can work with the store as it is. It writes nothing.
	//
	// ErrNotMigrated: there is no identity, or neither the schema of this version nor a newer
	// one that is compatible with it. ErrMismatch: another number of partitions is recorded.
	// ErrRefused: access is denied, or the server has a setting that the store cannot work with. Waiting
	// does not help.
	Check(ctx context.Context, partitions int) error

	// Create inserts rows, all or none. Ids are distinct, and there is at
	// least one row. A row that exists with the same Ver was inserted by an earlier try
	// of the same call, and counts as inserted.
	//
	// A *task.IDError with Exists names the ids that exist already with another Ver. ErrTooLarge:
	// headers of more than task.MaxHeaders bytes, or a row that the store cannot hold. Nothing
	// was inserted then.
	Create(ctx context.Context, rows []task.Row) error

	// Delete deletes the rows that exist in the versions named and reports for
	// each ref, in order, whether this call deleted it. Refs are distinct. If a
	// connection was lost in mid-commit, rows that the next try finds missing count as
	// deleted by this call. An error may match a *task.UnsureError, with the refs whose
	// rows may be deleted in spite of the error.
	Delete(ctx context.Context, refs []task.Ref) ([]bool, error)

	// DeleteByID deletes the rows that exist of ids, in whatever version, and returns
	// Ref, PrevVer and NextMS of the rows that it deleted, in no particular order. If
	// several calls name an id, one of them returns its row. Ids are distinct. Retries and
	// errors are those of Delete; the *task.UnsureError names the previous versions too (Row.Prev).
	//
	// A store may delete a row without reading it if the row is due later than aboveMS and
	// was never moved. Of that row it returns the ID alone, with a Ver of 0, and no error names
	// it. If aboveMS is task.MaxDue it reads all rows.
	DeleteByID(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error)

	// Bury moves the rows that exist in the versions named to the dead letters, each in one step: at no moment is it neither
	// a row nor a dead letter, or both. It reports for each burial, in order, whether that version is dead now, by this call or
	// an earlier one. Refs are distinct. Retries are those of Delete, and an error may match a *task.UnsureError with the refs
	// that may be dead in spite of it. ErrInvalid: Burial.Check refuses one; nothing was moved.
	Bury(ctx context.Context, burials []task.Burial) ([]bool, error)

	// Dead returns one page of the dead letters that f means, after the cursor: in the order (DeadMS, ID, Ver), or, if f has
	// an IDPrefix, in the order (ID, Ver), compared as bytes. It reads at most limit dead letters, and fewer if their payloads have more
	// than task.MostBytes together. So a page may be empty though more follow.
	Dead(ctx context.Context, f task.DeadFilter, after task.DeadCursor, limit int) (task.DeadPage, error)

	// Requeue makes a row of the dead letter of ref, in one step: its Ver, NextMS and DueMS are those of to, whose ID is ref's.
	// Attempt, PrevVer and ExpiresMS are 0. Payload, headers and CreatedMS stay. It reports whether ref was a dead letter. If the
	// answer to a try was lost, and the dead letter is gone at the next one, that try has made the row.
	//
	// A *task.IDError with Exists: a task of that ID exists. Nothing was changed then.
	Requeue(ctx context.Context, ref task.Ref, to task.Row) (bool, error)

	// PurgeDead deletes the dead letters that died before that time, in commits of bounded size, and returns how many it
	// deleted, also with an error.
	PurgeDead(ctx context.Context, beforeMS int64) (n int64, err error)

	// DeleteDead deletes those of the dead letters named that exist, in one step, and returns how many they were. Refs are distinct, and
	// at most 100. A repeat after a lost answer does not count what the first try deleted.
	DeleteDead(ctx context.Context, refs []task.Ref) (n int64, err error)

	// CountDead returns how many dead letters there are, with the words of Count.
	CountDead(ctx context.Context, limit int) (n int64, exact bool, err error)

	// Records returns all records: the identity, which Migrate made, the number of partitions, and
	// what SwapRecord has recorded.
	Records(ctx context.Context) (task.Records, error)

	// SwapRecord sets the record of that name to to, if it is old; an old of "" means that there is
	// none. It reports whether the record is to afterwards. ErrInvalid: name or to is empty, or
	// longer than task.MaxRecordName or task.MaxRecord bytes.
	SwapRecord(ctx context.Context, name, old, to string) (bool, error)

	// Move gives the row of ref a new version and time: Ver, NextMS, DueMS and
	// Attempt are set from to, whose ID is ref's, and PrevVer from ref. Payload,
	// headers, CreatedMS and ExpiresMS stay. It reports whether the row existed in ref's version; a
	// row that is found with to.Ver counts as moved (by an earlier try).
	//
	// If the row may be moved in spite of an error, the error matches a *task.UnsureError that
	// names ref, or ctx.Err(). It also matches ErrGone if, after a try whose answer was lost, the
	// row was found in neither version: either this call has moved it, and it was moved again or
	// deleted since, or it was gone before that try.
	Move(ctx context.Context, ref task.Ref, to task.Row) (bool, error)

	// MoveMany gives rows new versions and due times, all in one transaction: NextMS and DueMS are set to DueMS of the move, Ver
	// to To, PrevVer to the version before, and Attempt to 0. The rest stays. Ids are distinct, and so are versions. It
	// reports which rows existed in the versions named, in order; a row that is found in version To counts as moved (by an earlier
	// try). The other rows do not change.
	//
	// If rows may be moved in spite of an error, the error matches a *task.UnsureError that names them, or ctx.Err(). It also matches
	// ErrGone if, after a try whose answer was lost, no row that it would have moved was found in either version.
	MoveMany(ctx context.Context, moves []task.Move) ([]bool, error)

	// Replace is Move, and sets payload and headers from to as well. ErrTooLarge is as in Create.
	Replace(ctx context.Context, ref task.Ref, to task.Row) (bool, error)

	// Upsert inserts rows, all in one transaction, and does with those whose ids exist what on says. It returns
	// what it did with each row, in order. Ids are distinct, and on is one of the four. A row that is kept does
	// not change at all. One that is changed gets the Ver of the row that was given, and names as its previous version the
	// one that it had before:
	//
	//   - Replace sets payload and headers; a row that has the same is kept.
	//   - Earliest sets NextMS and DueMS, if NextMS becomes earlier by it.
	//   - Debounce sets NextMS, DueMS, ExpiresMS, Attempt, payload and headers.
	//
	// If a stored row that would be changed, or is kept by Replace, names a previous version other than the PrevVer that was given, nothing is stored,
	// and the error matches a *task.PrevError with all such versions. A PrevVer is set in no row.
	//
	// A row that has the Ver that was given, or was moved from it, was stored by an earlier try of the same call. It
	// is not changed again, and what that try did is returned. ErrTooLarge is as in Create. If rows may be changed in spite of an
	// error, the error matches a *task.UnsureError with the versions that they had before.
	Upsert(ctx context.Context, rows []task.Row, on task.OnConflict) ([]task.Upserted, error)

	// RaiseAttempts sets Attempt of the rows that exist in the versions named, where it is lower. Refs are
	// distinct. It changes nothing else of a row, and gives it no new version; so the refs of a row that was moved,
	// deleted or replaced mean no row. It returns how many rows it has raised: if that is all of them, all of them exist, and if an earlier
	// try has raised some, it is fewer. After an error some of the rows may be raised. It may be repeated.
	RaiseAttempts(ctx context.Context, counts []task.Attempts) (raised int, err error)

	// Get returns the rows that exist of ids, with their payloads, in no
	// particular order. Ids are distinct; absent ones are left out.
	//
	// A store may leave payloads out (Row.Cut) if all payloads together have more than
	// task.MostBytes; at least one row is whole. The caller asks again for the others: rows
	// whose Sizes are task.MostBytes together at most come whole, unless they were replaced meanwhile.
	Get(ctx context.Context, ids []string) ([]task.Row, error)

	// Versions returns the refs of the rows that exist of ids, in no particular
	// order. It is cheaper than Get. Ids are distinct.
	Versions(ctx context.Context, ids []string) ([]task.Ref, error)

	// Scan returns the rows that lie after the cursor and whose NextMS is below
	// belowMS, in (NextMS, ID) order, at most limit. Payloads longer than inline
	// bytes are left out (Row.Cut), and a store may leave out shorter ones if all payloads
	// together have more than task.MostBytes. A page shorter than limit is the last.
	//
	// A store may keep a low bound, a time before which no row is due, and start there. A
	// row may come to be before the bound in two cases: its writer does not know of the bound (its
	// process is of an older version, or its clock is wrong by more than 10 s), or its writer
	// died right after a commit that took some seconds. Scan leaves out that row until Advance
	// has found it.
	Scan(ctx context.Context, after task.Cursor, belowMS int64, limit, inline int) ([]task.Row, error)

	// ScanDown is Scan in the opposite order: it returns the rows that lie before the cursor and whose
	// NextMS is not below fromMS, the last of them first, at most limit. The low bound, and what is left out
	// of a page, are as in Scan.
	ScanDown(ctx context.Context, before task.Cursor, fromMS int64, limit, inline int) ([]task.Row, error)

	// ScanIDs returns the rows of r whose IDs are greater than after, compared as bytes, in the order of their
	// IDs, at most limit. The prefix is not empty, and is valid UTF-8. Payloads are left out as in Scan. There is no low
	// bound. A page has fewer rows, or none, and says that there are more, if the store would have to look at very many
	// rows of other times: one call does a bounded part of the work.
	ScanIDs(ctx context.Context, r task.Range, after string, limit, inline int) (task.IDPage, error)

	// CountPage counts the rows of r that lie after the cursor, in the order of IDs if r has a prefix, and in (NextMS, ID)
	// order otherwise. One call looks at a bounded number of rows, and says where the next one begins. What
	// Scan may leave out CountPage may leave out too, if r has no prefix.
	CountPage(ctx context.Context, r task.Range, after task.Cursor) (task.CountPage, error)

	// Advance raises the low bound, if the store keeps one, and looks for rows below it. It
	// is called every few seconds, usually by one process at a time, and does a bounded
	// part of the work. nowMS is the hot set's time. It changes what Scan and Count answer
	// only as Scan says.
	Advance(ctx context.Context, nowMS int64) error

	// Count returns how many rows there are. Up to limit the number is exact. If there are
	// more it is a cheap estimate above limit, and exact is false. Count never reads
	// more than limit+1 rows.
	Count(ctx context.Context, limit int) (n int64, exact bool, err error)

	// CountBefore returns, for each of beforeMS, how many rows have a NextMS of at least fromMS and below
	// that time. The times ascend, and the numbers do not fall. Up to limit a number is exact; above it
	// a number may be a cheap estimate above limit, which is marked. A store says how far off its
	// estimates may be. What Scan may leave out CountBefore may leave out too.
	CountBefore(ctx context.Context, fromMS int64, beforeMS []int64, limit int) ([]task.Count, error)
}
