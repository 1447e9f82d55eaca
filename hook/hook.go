// Package hook has the events of a Scheduler, and the functions that a caller hands over to be
// told of them (triggerhook.Options.Hooks): for tracing, for metrics of one's own, or for an audit log.
//
//	triggerhook.Options{Hooks: hook.Hooks{
//		Confirmed: func(e hook.Confirmed) {
//			for _, t := range e.Tasks {
//				log.Printf("%s is done, attempt %d", t.ID, t.Attempt)
//			}
//		},
//	}}
//
// A hook is called synchronously, in the goroutine that does the work, and many goroutines may call it at once. So it must
// be quick and must not block: while it runs, nothing is claimed, or this caller waits. It must not end its goroutine
// (runtime.Goexit, which FailNow of a test is), and must not call Run, Handle or Flush. A hook that panics is logged at Warn,
// and the work goes on. Events and their slices may be kept, and must not be changed.
//
// # Order
//
// For each delivery the hooks of one process are called in the order Claimed, Delivered, and then Failed, Confirmed or
// LeaseLost. Each returns before the next one is called, with two exceptions: LeaseLost may come at any time
// after Claimed, and Confirmed may follow it, because a late Confirm counts. Created is called
// after the commit, and for a task that is due at once Claimed may come before it. Preloaded and Claimed are not ordered, because the hot
// set has a task before Preloaded is called.
//
// # What is not told
//
// Events are told by the process that causes them, once, from memory. A process that is killed after a commit and before the hook tells nothing, so
// hooks are no substitute for a row in a database. What another process does is not told here. Hooks that are nil cost nothing.
//
// There are no hooks of Delete, Reschedule, Update, Requeue, of what Upsert changes, and of the calls in a transaction of the caller's own. So a
// task may be delivered of which no Created was told: one that CreateTx or a Requeue made. An audit log adds these where it calls them.
package hook

import "time"

// Hooks are functions that a Scheduler calls. Each may be nil.
type Hooks struct {
	// Created is called once in each call of Create, after its tasks are committed, and before it returns; and in Upsert
	// for the tasks that it has created. CreateTx does not call it, because the commit is the caller's.
	Created func(Created)
	// Preloaded is called after tasks were added to the hot set: by the feeder, a page at a time; by
	// Create and Reschedule; by their retries; and by the auditor.
	Preloaded func(Preloaded)
	// Claimed is called for each batch that this process has claimed, before the first of it is delivered.
	Claimed func(Claimed)
	// Delivered is called for each delivery, before Consume returns it or Handle calls its Handler.
	Delivered func(Delivered)
	// Confirmed is called after rows were deleted for Confirm or ConfirmAsync, and before Confirm returns. Deliveries whose
	// row was gone (ErrGone) are not in it.
	Confirmed func(Confirmed)
	// Failed is called when a Handler of Handle has returned an error, panicked, or ended its goroutine, and by Delivery.Fail, before
	// the delivery is answered. It is not called for a Rollback that a caller makes, nor for an error of a Handler that has settled its
	// delivery, or whose task was gone (ErrGone). It is called for a Snooze too (triggerhook.Snoozed tells it from a failure).
	Failed func(Failed)
	// Dead is called after tasks became dead letters by this process, before a call of the caller's that brought that about returns.
	Dead func(Dead)
	// LeaseLost is called when this process has lost deliveries whose lease ran out, or that another worker has. Deliveries
	// that were settled before may be in it if the stores have not been told yet.
	LeaseLost func(LeaseLost)
	// Rebuilt is called when this process has begun a new generation of a partition: at the first start
	// of a namespace, and after the hot set lost its data.
	Rebuilt func(Rebuilt)
	// LeaderElected is called when this process is elected for a background role, before the first round of its term. In package
	// triggerhooktest, where one process holds all roles, it is called once for each role.
	LeaderElected func(LeaderElected)
}

// Task is a task in an event.
type Task struct {
	ID      string    // the task's ID
	Due     time.Time // as its caller asked for; zero if the hot set has lost it
	Attempt int       // 1 at first
}

// Created are the tasks that one call of Create or Upsert has created.
type Created struct {
	Tasks []Task // in the order of the call; Attempt is 0
}

// Preloaded are tasks that were offered to one partition of the hot set.
type Preloaded struct {
	Partition int      // of the hot set
	IDs       []string // of what was offered, in no particular order
	Added     int      // how many of them the hot set did not have
}

// Claimed is one claimed batch.
type Claimed struct {
	Partition int    // of the hot set
	Tasks     []Task // in due order
}

// Delivered is one delivery.
type Delivered struct {
	Task
	// Late is how long after its due time, or the time that its row was moved to, the task is delivered, by the clock of the
	// hot set. A further attempt is late by the delays before it, too.
	Late time.Duration
}

// Confirmed are tasks whose rows one deletion has deleted.
type Confirmed struct {
	Tasks []Task // in no particular order
}

// Failed is a delivery whose Handler failed.
type Failed struct {
	Task
	Err error // what the Handler returned or Fail was given, or that the Handler panicked or ended its goroutine
}

// Dead are tasks that one transaction has moved to the dead letters.
type Dead struct {
	Tasks []DeadTask // in no particular order
}

// DeadTask is a dead letter in an event.
type DeadTask struct {
	Task
	Reason    string // "expired", "attempts", or what begins with "discarded"
	LastError string // what its last delivery failed with, empty if it did not fail
}

// LeaseLost are deliveries of one batch that this process has lost.
type LeaseLost struct {
	Partition int    // of the hot set
	Tasks     []Task // in no particular order
}

// Rebuilt is a new generation of a partition.
type Rebuilt struct {
	Partition int // of the hot set
}

// LeaderElected is the begin of a term of this process.
type LeaderElected struct {
	Role string // "feeder", "reaper" or "auditor"
}
