package task

import (
	"errors"
	"math"
	"math/rand/v2"
)

// Ref names one version of a task: its ID and the Ver of its row. Ver is random
// and new at each create and each move of the row (a Reschedule, or a Rollback beyond the horizon), so a version
// that is gone never comes back; it is never 0.
type Ref struct {
	ID  string // of the task
	Ver int64  // of its row: from NewVer, so 1 or more; a store takes each but the least int64, at which a cursor may begin
}

// NewVer returns a new version.
func NewVer() int64 { return 1 + rand.Int64N(math.MaxInt64) }

// Move says where a row is moved: the one of Ref gets the version To, and is due at DueMS, unix milliseconds.
type Move struct {
	Ref         // the version that is moved
	To    int64 // the version that the row gets
	DueMS int64 // when it is due and next offered, unix milliseconds
}

// UnsureError is the error of a deletion or a move that may, in spite of the error, have taken effect on
// the rows of Refs. A caller that tries a deletion again counts those of them that are missing then
// as deleted by itself, unless they were moved (Moved).
type UnsureError struct {
	Refs []Ref // the versions whose rows may be deleted or moved
	Err  error // what happened
}

// Error says what Err says.
func (e *UnsureError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *UnsureError) Unwrap() error { return e.Err }

// Unsure returns the refs that err is unsure of.
func Unsure(err error) []Ref {
	var e *UnsureError
	if errors.As(err, &e) {
		return e.Refs
	}
	return nil
}

// Row is a task as the durable store holds it. A row exists if and only if the
// task is unfinished.
type Row struct {
	Ref
	NextMS    int64  // when the task is next offered, unix milliseconds: DueMS, or later after a Rollback with a delay
	DueMS     int64  // the due time that the caller asked for (Task.Due), kept through rollbacks
	Attempt   int    // failed attempts (rollbacks, timeouts, lost leases) that the row knows of
	CreatedMS int64  // for people
	ExpiresMS int64  // Task.Expires: a delivery later than that is none, 0 if it has none
	PrevVer   int64  // the version that the row had before it was moved last, 0 if it never was
	Payload   []byte // nil if it is empty, or was left out
	Headers   string // encoded (EncodeHeaders), empty if there are none
	// Size is the length of payload and encoded headers in bytes, also where a read has left
	// both out because they are long (Payload is nil and Headers empty then). Writes ignore it.
	Size int
}

// Range selects rows by the beginning of their IDs and by the time at which they are next offered.
type Range struct {
	IDPrefix        string // how the ID begins; empty: any ID
	FromMS, BelowMS int64  // NextMS is not below FromMS, and below BelowMS
	NotMS           int64  // NextMS is not this one; 0: there is no such time
}

// IDPage is a page of rows in the order of their IDs.
type IDPage struct {
	Rows []Row  // at most as many as were asked for
	Next string // the ID after which the next page begins
	More bool   // there may be a next page, also if this one has few rows, or none
}

// CountPage is how many rows of a part of a Range there are.
type CountPage struct {
	N    int    // how many rows of the part belong to the Range
	Next Cursor // the place after which the next part begins
	More bool   // there may be a next part
}

// Attempts is how many attempts of one version of a task have failed, as far as is known.
type Attempts struct {
	Ref
	Attempt int // failed attempts: rollbacks, timeouts, lost leases
}

// MostBytes is how many bytes of payloads, with their headers, go in one call to a store, or come in its answer;
// one row may have more. It is what a slow link (1 MiB/s) carries in half the time that a
// call has.
const MostBytes = 4 << 20

// Bytes returns how many bytes of payload and headers r holds.
func (r Row) Bytes() int { return len(r.Payload) + len(r.Headers) }

// Cut reports whether payload and headers were left out.
func (r Row) Cut() bool { return r.Bytes() < r.Size }

// Cursor is a place in the order (NextMS, ID) of rows: those that lie after it
// have a greater NextMS, or the same and a greater ID, compared as bytes. The
// zero Cursor lies before all rows.
type Cursor struct {
	NextMS int64  // unix milliseconds
	ID     string // of a row of that NextMS, or what lies between two of them
}

// Less reports whether c lies before o.
func (c Cursor) Less(o Cursor) bool {
	return c.NextMS < o.NextMS || c.NextMS == o.NextMS && c.ID < o.ID
}

// Prev returns the previous version. It may still be in the hot set if the process that moved the
// row has died. False: there was none.
func (r Row) Prev() (Ref, bool) { return Ref{r.ID, r.PrevVer}, r.PrevVer != 0 }

// Moved reports whether found, the row that has the ID of ref now, is the row of ref after a move:
// then ref was not deleted. A row that has not been moved since its creation was created after the row of
// ref was gone. The zero Row means that there is none.
func Moved(ref Ref, found Row) bool {
	return found.ID == ref.ID && found.Ver != ref.Ver && found.PrevVer != 0
}

// Versions returns all versions that the hot set may hold of the tasks of rows: first the previous
// versions, where there are any, and then those of rows, in order.
func Versions(rows []Row) []Ref {
	refs := make([]Ref, 0, len(rows))
	for _, r := range rows {
		if prev, is := r.Prev(); is {
			refs = append(refs, prev)
		}
	}
	for _, r := range rows {
		refs = append(refs, r.Ref)
	}
	return refs
}

// Cursor returns the place of the row in the order of Scan.
func (r Row) Cursor() Cursor { return Cursor{r.NextMS, r.ID} }
