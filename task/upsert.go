package task

import (
	"fmt"
	"strconv"
)

// OnConflict says what Upsert does with a task whose ID exists.
type OnConflict uint8

// What Upsert does with a task whose ID exists.
const (
	Keep     OnConflict = iota + 1 // the stored task stays as it is
	Replace                        // payload and headers become the new ones, due time and Expires stay; if they are the same, the task is kept
	Earliest                       // the stored task stays, and is offered at the earlier of the two times
	Debounce                       // payload, headers, due time and Expires become the new ones: each call pushes the task out
)

// Check returns an error that matches ErrInvalid if o is none of the four.
func (o OnConflict) Check() error {
	if o < Keep || o > Debounce {
		return fmt.Errorf("%w: OnConflict is %d, it is one of Keep, Replace, Earliest and Debounce", ErrInvalid, o)
	}
	return nil
}

// String returns "keep", "replace", "earliest" or "debounce", and for any other number a text like "OnConflict(7)".
func (o OnConflict) String() string {
	names := [...]string{Keep: "keep", Replace: "replace", Earliest: "earliest", Debounce: "debounce"}
	if int(o) >= len(names) || names[o] == "" {
		return "OnConflict(" + strconv.Itoa(int(o)) + ")"
	}
	return names[o]
}

// UpsertOutcome is what Upsert did with one task.
type UpsertOutcome uint8

// Outcomes of Upsert.
const (
	Created  UpsertOutcome = iota + 1 // there was none of that ID
	Kept                              // the stored task is as it was
	Replaced                          // the stored task was changed
)

// String returns "created", "kept" or "replaced", and for any other number a text like "UpsertOutcome(7)".
func (o UpsertOutcome) String() string {
	names := [...]string{Created: "created", Kept: "kept", Replaced: "replaced"}
	if int(o) >= len(names) || names[o] == "" {
		return "UpsertOutcome(" + strconv.Itoa(int(o)) + ")"
	}
	return names[o]
}

// Upserted is what a durable store did with one row of an Upsert.
type Upserted struct {
	Outcome UpsertOutcome // Created, Kept or Replaced
	Was     Ref           // the version that a Replaced row had before
	Row     Row           // a Created or Replaced row as it is now; its payload may be left out (Row.Cut)
}

// PrevError is the error of an Upsert that has stored nothing, because rows that it would change name previous
// versions that their caller has not removed from the hot set. A row has one previous version at most, so they are removed
// before the row is changed again.
type PrevError struct {
	Refs []Ref // the previous versions
}

// Error counts the versions.
func (e *PrevError) Error() string {
	return strconv.Itoa(len(e.Refs)) + " stored tasks name previous versions"
}
