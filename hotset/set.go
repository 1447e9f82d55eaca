// Package hotset holds the tasks due before the horizon, waiting or claimed. It
// is a rebuildable index of the durable store, never the truth. NewRedis is the
// Set for production; hotset/local is the embedded one; hotsettest is the suite
// that both pass.
package hotset

import (
	"context"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// Config is what a Set was made with.
type Config struct {
	Namespace  string // the prefix of its keys
	Partitions int    // how many partitions it has
	InProcess  bool   // it lives in the memory of this process, and ends with it
}

// Set is the hot set of one namespace, in partitions 0 to Partitions-1. A member
// is one version of a task; the caller routes it with task.Partition. All
// methods may be called by any number of goroutines and processes at once, and
// each is atomic in its partition. Slices handed to a method are not changed,
// nor retained after it returns.
//
// A partition has one clock, which alone decides what is due and when a lease
// ends. A partition without a generation is cold: Claim, Add, Feed, Extend and
// Release answer task.ErrCold until Horizon has made one. Cold is also one whose
// server is not the one that the generation began on. Horizon, State, Find, Expired
// and Add with a Token look at that always, Claim where it takes members or finds its
// batch, Extend where it is given a batch or a member. What the others do there ends
// with the next generation.
//
// Invariants, for each partition and whatever the order of calls:
//
//	I1  A member is waiting or in one batch, never both.
//	I2  A member that was removed is refused (task.AddDead) for at least
//	    task.TombstoneTTL, and what a caller knows from earlier than that, or
//	    from another generation, is refused whole (task.ErrStale).
//	I3  The epoch of the feeder never falls; an older feeder is refused
//	    (task.ErrAborted), as is one of another generation.
//	I4  loaded never passes the horizon; both fall together or not at all.
//
// Errors match a sentinel of package task: ErrUnavailable (the outcome of a
// write is unknown), ErrMismatch (the partition records another number of
// partitions; nothing was changed), ErrRefused (access denied, a setting that
// the set cannot work with), ErrTooLarge (out of memory; nothing was changed).
type Set interface {
	// Config returns what the set was made with. No I/O.
	Config() Config

	// Expect tells the set what the durable store records of it, as the caller has
	// read; until it is told, any generation is taken for the current one. From then on a partition that
	// records another identity answers task.ErrMismatch to every call, as does Elect,
	// and one whose generation is not the current one is cold for every call and
	// answers task.ErrOther (an ErrCold); State tells of it by Other, Find and Expired
	// find nothing. Horizon begins a generation there, as on any cold partition. A
	// generation records the identity at its beginning, and so does the first election.
	// No I/O. ErrMismatch: this Set was told another identity before. ErrInvalid: an
	// identity of other than letters and digits, or another number of partitions.
	Expect(e task.Expected) error

	// Clock returns a moment of partition p that lies before the call's end
	// and at most TombstoneTTL/2 before its beginning. It asks the server only
	// if no answer to an earlier call is that recent. Generation is 0 if the
	// partition is cold.
	Clock(ctx context.Context, p int) (task.AsOf, error)

	// Check tries whether the set can work with p's server: that it may use each
	// command and channel that the methods need, hears what it publishes, and whatever
	// State looks at. It changes nothing, and any number of processes may check at once.
	// ErrRefused names all that is missing; waiting mends none of it.
	Check(ctx context.Context, p int) error

	// State reports what p holds. A cold partition holds nothing; that is no
	// error. ErrRefused: the server's settings would lose members in silence.
	State(ctx context.Context, p int) (task.State, error)

	// Horizon begins a feeder's round on p: it makes a new, empty generation
	// if the partition is cold and f.Look is not set (f.Generation, which is the
	// current one by the records), and raises the horizon to f.HorizonMS, never
	// lowering it. A partition that holds f.Limit members or more keeps its
	// horizon; one that holds more retreats: horizon and loaded fall to the
	// time of the member that is one too many, and the waiting members due at
	// or above it are dropped, some at each call: not those with attempts, of
	// which, and of their delay, their rows may not know.
	Horizon(ctx context.Context, p int, f task.HorizonRequest) (task.PartitionStatus, error)

	// Feed takes the page's entries in, unless they are members already,
	// removed (I2), or not below the horizon, and then moves loaded to
	// page.Loaded, but not beyond the horizon and never back.
	Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error)

	// Add takes entries in and returns an outcome for each, in order: AddTaken,
	// AddPresent, AddBeyond or AddDead; where AddBeyond and another are true, either
	// of them. With a.Token the entries are put into that batch under a.Lease, whatever
	// the horizon and also those that wait, whose record becomes the entry: AddClaimed,
	// AddElsewhere or AddDead.
	Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error)

	// Remove removes members for good, leaves tombstones, and tells of each
	// what it was: RemoveWaiting, RemoveClaimed or RemoveAbsent. token names the batch that the
	// caller holds them in, and then the outcomes tell nothing; "" if it holds
	// none. RemoveClaimed then tells that a worker holds some version of the task, or
	// may: one was removed while a batch held it, by this call (also if it is made
	// again, as its answer was lost), or by another whose tombstone stands. A cold
	// partition answers RemoveAbsent and nil: the next generation reads the rows.
	Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error)

	// Claim moves at most limit due members into the batch called token, oldest
	// first, under a lease of that length, at most 1000. A token that names a
	// batch already returns that batch, with its lease renewed: a claim whose
	// answer was lost is repeated with the same token. A set may bound the bytes of
	// its answer: it takes fewer members then, or leaves payloads out, as if they were
	// External; of a batch that is returned again it may leave out all.
	Claim(ctx context.Context, p int, token string, limit int, lease time.Duration) (task.Batch, error)

	// Extend renews the leases of the batches h.Tokens and tells which of them
	// had none left, and which of h.Refs are members no more. A lease that is
	// over but was not reaped yet is renewed. ErrAborted: the generation is
	// another than h.Generation; nothing was renewed, and the caller registers
	// what it holds (Add with Token). ErrCold: register once a generation has
	// begun; some leases may have been renewed.
	Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error)

	// Release gives members of a batch back and returns an outcome for each, in order:
	// ReleaseWaiting (it waits again, at the time that r names), ReleaseDead, ReleaseAbsent,
	// ReleaseElsewhere (not in this batch: it was given back before), or ReleaseBeyond
	// (r.Delay puts it at or beyond the horizon: it stays in the batch). With
	// r.Expired it changes nothing and answers ReleaseLeased unless the lease is
	// over; ErrStale then guards the reading of the rows. Without Refs it ends
	// the lease of a batch that has lost all its members. ErrCold: nothing was
	// given back, and the next generation reads the rows.
	Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.ReleaseOutcome, error)

	// Find tells where members are, each at some moment of the call. The record of a
	// FindOrphan is dropped by the call, so that Add takes the member
	// again. A cold partition holds nothing: FindAbsent.
	Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error)

	// Expired returns at most limit batches of p whose lease is over, and none
	// within one lease of the generation's beginning.
	Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error)

	// Elect asks for roles under the name of holder, for a term of that
	// length, and renews those that it holds; it answers for each role in
	// order. A term of 0 resigns. The election of all roles lives in
	// partition 0.
	Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error)

	// Watch sends on wake, dropping what does not fit, whenever an earlier
	// member than all waiting ones came in somewhere, and after each
	// (re)connection. It returns when ctx ends (nil), or with the error that
	// it cannot mend by connecting again: ErrRefused, ErrClosed.
	Watch(ctx context.Context, wake chan<- struct{}) error
}
