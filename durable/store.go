// Package durable keeps every unfinished task: a row exists in its Store if and
// only if the task is unfinished. NewMySQL is the Store for production;
// durable/bolt is the embedded one; durabletest is the suite that both pass.
package durable

import (
	"context"

	"github.com/triggerhook/triggerhook/task"
)

// Store keeps the rows of one namespace. All methods may be called by any
// number of goroutines at once. Slices handed to a method are not changed, nor
// retained after it returns; what a method returns belongs to the caller.
//
// A method that returns nil from a write has made it durable. If ctx ends in
// mid-write the outcome is unknown, and the error matches ctx.Err(). Deadlocks,
// waits for a row's lock and lost connections are tried again, at most 4 tries within 2 s
// and never past ctx. Errors match a sentinel of package task where one fits:
// ErrUnavailable, ErrDiskFull, ErrReadOnly, ErrTooLarge, ErrNotMigrated, ErrRefused, and
// ErrClosed once the store is closed.
//
// Headers are kept as task.EncodeHeaders writes them: a JSON object of strings with sorted keys, which SQL can
// read; none are NULL in MySQL. Wherever bytes of payloads are counted, headers are counted with them, and where a payload is
// left out its headers are too.
//
// A write must hold against concurrent writers in this and other processes;
// reads see every write that returned before the read began.
type Store interface {
	// Namespace returns the namespace of the store. No I/O.
	Namespace() string

	// Migrate brings the schema up to date, and records the number of partitions
	// and a random identity if none is recorded yet. The identity never changes. Any number of processes may call it
	// at once. A schema that is newer than this library, and declares that this library works
	// with it, is left as it is. ErrMismatch: another number is recorded (the schema may have
	// been brought up to date nevertheless). ErrRefused: the schema is newer
	// and declares no such thing, or a setting of the server is one that the store
	// cannot work with.
	Migrate(ctx context.Context, partitions int) error

	// Check reports whether the store can be worked with as it is:
	// ErrNotMigrated without the schema of this version (or a newer one that is compatible with
	// it) or an identity, ErrMismatch if
	// another number of partitions is recorded, ErrRefused where waiting
	// cannot mend it (access denied, a setting that it cannot work with).
	// It writes nothing.
	Check(ctx context.Context, partitions int) error

	// Create inserts rows, all or none. Ids are distinct, and there is at
	// least one row. An *task.IDError with Exists names those that exist
	// already with another Ver; a row that exists with the Ver asked for was
	// inserted by an earlier try of the same call and counts as inserted. ErrTooLarge: headers of
	// more than task.MaxHeaders bytes, or a row that the store cannot hold; nothing was inserted.
	Create(ctx context.Context, rows []task.Row) error

	// Delete deletes the rows that exist in the versions named and reports for
	// each ref, in order, whether this call deleted it. Refs are distinct. On
	// a retry after a connection that was lost in mid-commit, rows that are
	// found missing count as deleted by this call. An error may match a
	// *task.UnsureError, with the refs whose rows may be deleted all the same.
	Delete(ctx context.Context, refs []task.Ref) ([]bool, error)

	// Drop deletes the rows that exist of ids, in whatever version, and returns
	// Ref, PrevVer and NextMS of them, in no particular order: each row to one call
	// alone. Ids are distinct. Retries and errors are as Delete's; the *task.UnsureError
	// names the previous versions too (Row.Prev).
	//
	// A store may leave unread what was due later than aboveMS and had no version of
	// before: of such a row it returns the ID alone, Ver being 0, and no error names it. It
	// reads them all if aboveMS is task.MaxDue.
	Drop(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error)

	// Records returns all that is recorded: the identity, which Migrate made, the number of
	// partitions, and what SwapRecord has recorded.
	Records(ctx context.Context) (task.Records, error)

	// SwapRecord records to under name if old is what is recorded, "" for nothing, and
	// reports whether to is recorded then. ErrInvalid: name or to is empty, or longer than
	// task.MaxRecordName and task.MaxRecord bytes.
	SwapRecord(ctx context.Context, name, old, to string) (bool, error)

	// Move gives the row of ref a new version and time: Ver, NextMS, DueMS and
	// Attempt are set from to, whose ID is ref's, and PrevVer from ref; payload,
	// headers and CreatedMS stay. It reports whether the row existed in ref's version; a
	// row found with to.Ver counts as moved (a retry). If the row may be moved though
	// there is an error, this matches a *task.UnsureError that names ref, or ctx.Err().
	// Such an error also matches ErrGone if the row was found in neither version after
	// a try whose answer was lost: it was moved, and moved on or deleted since, or it
	// had gone before that try.
	Move(ctx context.Context, ref task.Ref, to task.Row) (bool, error)

	// Get returns the rows that exist of ids, with their payloads, in no
	// particular order. Ids are distinct; absent ones are left out. A store may leave
	// payloads out (Row.Cut) once those of all rows have more than task.MostBytes; at least
	// one row is whole. Ask again for the others: rows whose Sizes are not above
	// task.MostBytes in all come whole, unless they have been replaced meanwhile.
	Get(ctx context.Context, ids []string) ([]task.Row, error)

	// Versions returns the refs of the rows that exist of ids, in no particular
	// order: Get for callers that need no more. Ids are distinct.
	Versions(ctx context.Context, ids []string) ([]task.Ref, error)

	// Scan returns the rows that lie after the cursor and whose NextMS is below
	// belowMS, in (NextMS, ID) order, at most limit. Payloads longer than inline
	// bytes are left out (Row.Cut), and a store may leave out shorter ones once those of all
	// rows have more than task.MostBytes. A page shorter than limit is the last.
	//
	// A store may keep a low bound, a time before which no row is due, and start there. A
	// row that a writer inserts before that time which does not know of the bound (its
	// process is of an older version, its clock is wrong by more than 10 s), or which dies
	// right after a commit that took more than some seconds, is left out until Advance
	// finds it.
	Scan(ctx context.Context, after task.Cursor, belowMS int64, limit, inline int) ([]task.Row, error)

	// Advance raises the low bound, if the store keeps one, and looks for rows below it. It
	// is called every few seconds, by one process at a time as a rule, and does a bounded
	// part of what there is to do. nowMS is the hot set's time. It never changes what
	// Scan and Count answer but as Scan says.
	Advance(ctx context.Context, nowMS int64) error

	// Count returns how many rows there are: exactly where there are at most
	// limit, else a cheap estimate above limit, exact being false. It never
	// reads more than limit+1 rows.
	Count(ctx context.Context, limit int) (n int64, exact bool, err error)
}
