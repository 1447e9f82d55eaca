// Package inspect describes what a partition of the embedded hot set holds. It is for the tests
// of this module: the transcripts in testdata/protocol print it after each step.
package inspect

import (
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Local returns what partition p of a local.Set holds, and changes nothing. Package local sets it, so
// that the Set itself exports no method for tests.
var Local func(set any, p int) Partition

// Partition is a copy of what one partition holds.
type Partition struct {
	Generation int64       // 0: the partition is cold, and the rest is empty
	HorizonMS  int64       // members are due before it
	Loaded     task.Cursor // up to here the feeder has loaded all rows
	Waiting    []Member    // in the order in which they are offered
	Batches    []Batch     // in no particular order
	Tombstones []task.Ref  // removed members that are still remembered, in no particular order
	Marks      []string    // IDs of tasks that a worker may have in hand although a version was removed, in no particular order
}

// Member is one version of a task in the hot set.
type Member struct {
	task.Ref
	AtMS    int64 // when a waiting member is next offered
	Attempt int   // rollbacks and lost leases so far
}

// Batch is what one claim took, under one lease.
type Batch struct {
	Token   string    // its name
	Ends    time.Time // when its lease is over
	Members []Member  // in no particular order
}
