package task

import (
	"fmt"
	"strconv"
)

// EndKind says how a task ended. The zero EndKind asks a store to keep nothing of that task.
type EndKind uint8

// How a task ended.
const (
	EndConfirmed EndKind = iota + 1 // a worker confirmed it: it is done
	EndDeleted                      // it was deleted before it was done
	EndDead                         // it became a dead letter
)

var endKinds = [...]string{EndConfirmed: "confirmed", EndDeleted: "deleted", EndDead: "dead"}

// String returns "confirmed", "deleted" or "dead", and for any other number a text like "EndKind(7)".
func (k EndKind) String() string {
	if int(k) >= len(endKinds) || endKinds[k] == "" {
		return "EndKind(" + strconv.Itoa(int(k)) + ")"
	}
	return endKinds[k]
}

// MaxWorker is how long the name of a worker in the history may be, in bytes: the width of the column worker.
const MaxWorker = 64

// SlotMS is the length of a slot of the history, in milliseconds: 4 hours. The history is kept by slots, and within a slot by ID. So what
// ends at about the same time is written to the same place, one task is looked up in six places for each day, and no second index is needed.
// Slots are purged whole.
const SlotMS = 4 * 60 * 60 * 1000

// Ending tells a store that keeps history how a row ends.
type Ending struct {
	Ref
	How         EndKind // 0: this ending is not kept
	EndedMS     int64   // unix milliseconds of the hot set's clock
	DeliveredMS int64   // when its last delivery began, likewise; 0 if there was none, or it is not known
	Attempt     int     // of its last delivery; a store that reads the row keeps the row's number if that is larger
	Worker      string  // the process that ended it, at most MaxWorker bytes
	Reason      string  // of a dead letter, as Burial has it
	LastError   string  // likewise

	// DueMS and CreatedMS are the row's. A caller that does not know them leaves both 0, and the store reads them.
	DueMS, CreatedMS int64
}

// Whole reports whether a store needs nothing of the row: e has the row's times, or is not kept.
func (e Ending) Whole() bool { return e.How == 0 || e.CreatedMS != 0 }

// Check returns nil for an Ending that a store takes. For any other it returns an error that matches ErrInvalid.
func (e Ending) Check() error {
	switch {
	case e.How > EndDead:
		return fmt.Errorf("%w: task %.32q ends as %s, want one of confirmed, deleted and dead", ErrInvalid, e.ID, e.How)
	case e.EndedMS < 0 || e.EndedMS > MaxDue || e.DeliveredMS < 0 || e.Attempt < 0 || e.CreatedMS < 0:
		return fmt.Errorf("%w: task %.32q ends at %d ms, was delivered at %d ms, in attempt %d; want none of them below 0, and an end up to %d ms",
			ErrInvalid, e.ID, e.EndedMS, e.DeliveredMS, e.Attempt, MaxDue)
	case len(e.Worker) > MaxWorker || len(e.Reason) > MaxReason || len(e.LastError) > MaxLastError:
		return fmt.Errorf("%w: task %.32q ends with a worker's name of %d, a reason of %d and an error text of %d bytes, at most %d, %d and %d are kept",
			ErrInvalid, e.ID, len(e.Worker), len(e.Reason), len(e.LastError), MaxWorker, MaxReason, MaxLastError)
	}
	return nil
}

// Slot returns the slot of the history that has e.
func (e Ending) Slot() int64 { return e.EndedMS / SlotMS }

// EndedAs returns what is kept of the row r that ends as e says.
func (r Row) EndedAs(e Ending) Ending {
	e.Ref, e.Attempt, e.DueMS, e.CreatedMS = r.Ref, max(e.Attempt, r.Attempt), r.DueMS, r.CreatedMS
	return e
}

// Sample says of which tasks history is kept. It depends on the ID alone, so that all processes, and all versions of a task, agree.
type Sample float64

// Has reports whether the history of the task called id is kept: of all tasks for 1, and of none for 0.
func (s Sample) Has(id string) bool {
	return float64(Partition(id, sampleParts)) < float64(s)*sampleParts
}

// sampleParts is a prime number, so that the sample is spread over the partitions of the hot set, which are another remainder of the same sum.
const sampleParts = 1_000_003
