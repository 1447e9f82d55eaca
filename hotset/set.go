// Package hotset holds the tasks that are due before the horizon, waiting or claimed. It
// is an index that can be rebuilt from the durable store, which alone is the truth. NewRedis
// returns the Set for production, hotset/local has the embedded one, and hotsettest has the
// tests that both pass.
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

const (
	// Watched is for how long after a call of Workers the workers tell of themselves.
	Watched = 15 * time.Second
	// KeepWorkers is how long a Set keeps a worker without a Heartbeat.
	KeepWorkers = time.Minute
	// MostWorkers is how many workers Workers returns at most.
	MostWorkers = 1000
)

// Set is the hot set of one namespace, in partitions 0 to Partitions-1. A member
// is one version of a task; the caller routes it with task.Partition. All
// methods may be called by any number of goroutines and processes at once, and
// each is atomic in its partition. Slices handed to a method are not changed,
// and not retained after it returns.
//
// A partition has one clock, which alone decides what is due and when a lease
// ends. A partition without a generation is cold: Claim, Add, Feed, Extend and
// Release answer task.ErrCold until Horizon has made one.
//
// A partition is also cold if its server is not the one that the generation began on.
// Horizon, State, Waiting, Find, Expired and Add with a Token always look at that. Claim does where it
// takes members or finds its batch, Extend where it is given a batch or a member, and Remove
// where it has no Token. The other calls do not, and what they change there ends with the next generation.
//
// Invariants, for each partition and whatever the order of calls:
//
//	I1  A member is waiting or in one batch, never both.
//	I2  A member that was removed is refused (task.AddDead) for at least
//	    task.TombstoneTTL. A call whose AsOf is older than that, or of another
//	    generation, is refused as a whole (task.ErrStale).
//	I3  The epoch of the feeder never falls. A feeder with an older epoch is
//	    refused (task.ErrAborted), and so is one of another generation.
//	I4  loaded never passes the horizon. If the horizon falls below it, loaded falls with it.
//
// Errors match a sentinel of package task: ErrUnavailable (the outcome of a
// write is unknown), ErrMismatch (the partition records another number of
// partitions; nothing was changed), ErrRefused (access denied, a setting that
// the set cannot work with), ErrTooLarge (out of memory; nothing was changed).
type Set interface {
	// Config returns what the set was made with. No I/O.
	Config() Config

	// Expect tells the set what the caller has read of it in the durable store. Before the
	// first Expect any generation is taken for the current one. No I/O.
	//
	// After it, every call to a partition that has another identity answers
	// task.ErrMismatch, and so does Elect. A partition whose generation is not the current
	// one is cold, and calls answer task.ErrOther (an ErrCold); State sets Other, and Find and
	// Expired find nothing. Horizon begins a generation there, as on any cold partition. A
	// generation stores the identity when it begins, and so does the first election.
	//
	// Claims go by the newest e.Pause (task.Pause.Seq) that this Set was told of, and by the newest that the partition has
	// stored, whichever is newer. A partition stores it in Pause and in Horizon.
	//
	// ErrMismatch: Expect was called with another identity before. ErrInvalid: the identity
	// has characters that are neither letters nor digits, or e has another number of partitions.
	Expect(e task.Expected) error

	// Clock returns a moment of partition p that lies before the end of this call,
	// and at most TombstoneTTL/2 before its beginning. It asks the server only
	// if no reply to an earlier call is that recent. Generation is 0 if the
	// partition is cold.
	Clock(ctx context.Context, p int) (task.AsOf, error)

	// Check tests whether the set can work with p's server: whether it may use each
	// command and channel that the methods need, whether it hears what it publishes, and what
	// State checks. It changes nothing, and any number of processes may check at once.
	// ErrRefused names everything that is missing; waiting does not help.
	Check(ctx context.Context, p int) error

	// State reports what p holds. A cold partition holds nothing, which is no
	// error. ErrRefused: with its settings the server would lose members without an error.
	State(ctx context.Context, p int) (task.State, error)

	// Waiting counts, for each of belowMS, the members of p that wait and are next offered before
	// that time, due or not. It counts no claimed member. All counts are of one moment. There are at
	// most task.MaxTimes times. ErrCold: the partition has no generation, or one that is not current.
	Waiting(ctx context.Context, p int, belowMS ...int64) (task.WaitingCounts, error)

	// Horizon begins a feeder's round on p. If the partition is cold and f.Look is not
	// set, it begins a new, empty generation: f.Generation, which the durable store records as
	// current. It raises the horizon to f.HorizonMS, and never lowers it to that.
	//
	// A partition that holds f.Limit members or more keeps its horizon. One that holds more
	// retreats: horizon and loaded fall to the time of the first member that is too many, and
	// the waiting members that are due at or above it are dropped, some at each call. Members
	// with attempts, or with a delay (Release), stay, because their rows may know neither.
	Horizon(ctx context.Context, p int, f task.HorizonRequest) (task.PartitionStatus, error)

	// Feed adds the page's entries, except those that are members already, were
	// removed (I2), or are not below the horizon. Then it moves loaded to
	// page.Loaded, but not beyond the horizon and never back.
	Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error)

	// Add adds entries and returns an outcome for each, in order: AddTaken,
	// AddPresent, AddBeyond or AddDead. Where AddBeyond and another are true, the
	// outcome may be either.
	//
	// With a.Token Add puts the entries into that batch, under a.Lease and whatever
	// the horizon: AddClaimed, AddElsewhere or AddDead. A member that waits moves into
	// the batch, and what the set holds of it becomes the entry.
	Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error)

	// Remove removes members for good, leaves tombstones, and returns for each
	// what it was: RemoveWaiting, RemoveClaimed or RemoveAbsent. A cold partition
	// answers RemoveAbsent and nil: the next generation reads the rows.
	//
	// token names the batch that the caller holds the members in; the outcomes say nothing
	// then. It is "" if the caller holds none. RemoveClaimed then means that a worker has, or
	// may have, some version of the task in hand: a version was removed while it was in a batch,
	// by this call, by an earlier try of it whose reply was lost, or by another call whose
	// tombstone still exists.
	Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error)

	// RemoveHeld is Remove for what the caller holds in several batches, without outcomes. It makes one call for as many members
	// as one call takes. After an error it is not known which of them are removed.
	RemoveHeld(ctx context.Context, p int, held []task.Held) error

	// Claim moves at most c.Limit due members, and at most 1000, into the batch called
	// c.Token, oldest first, under c.Lease. If fewer than c.AheadLimit are due, it may also take members that are due within c.Ahead, up
	// to c.AheadLimit in all, and tells of each when it is offered (task.Claim.OfferMS), and perhaps what time it was when all that was
	// done (task.Batch.ClockUS). If a batch of that name exists already, Claim renews
	// its lease and returns it: a claim whose reply was lost is repeated with the same token.
	//
	// While a pause is in effect (Expect) a Claim takes nothing, except that it returns a batch which exists. c.MaxInFlight and c.Interval
	// limit what it takes. For c.Interval a member that was given back stays counted. A new generation knows nothing
	// of earlier claims.
	//
	// A set may bound the bytes of its reply: it takes fewer members then, or leaves
	// payloads out, as if they were External. Of a batch that existed before it may leave
	// out all payloads.
	Claim(ctx context.Context, p int, c task.ClaimRequest) (task.Batch, error)

	// Pause stores in partition p the pause that Expect was told of last, and wakes the processes that sleep (Watch). As long as the
	// generation lasts, no Claim that begins later, of any process, goes by an older pause. ErrCold: the partition has no
	// generation, or one that is not current, and stores nothing.
	Pause(ctx context.Context, p int) error

	// Extend renews the leases of the batches h.Tokens, and returns which of them
	// had no lease any more, and which of h.Refs are no longer members. A lease that is
	// over but was not reaped yet is renewed. ErrAborted: the generation is not
	// h.Generation; nothing was renewed, and the caller registers what it holds
	// (Add with Token). ErrCold: the caller registers once a generation has
	// begun; some leases may have been renewed.
	Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error)

	// Release gives members of a batch back and returns an outcome for each, in order:
	// ReleaseWaiting (it waits again, until the time that r names), ReleaseDead,
	// ReleaseAbsent, ReleaseElsewhere (not in this batch: it was given back before), or
	// ReleaseBeyond (r.Delay puts it at or beyond the horizon: it stays in the batch).
	// ErrCold: nothing was given back, and the next generation reads the rows.
	//
	// With r.Expired it gives back only if the lease is over; otherwise it changes nothing and
	// returns ReleaseLeased. ErrStale: the rows were read as of a moment that is too old.
	// Without Refs it ends the lease of a batch that has lost all its members.
	Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.ReleaseOutcome, error)

	// Find returns where members are, each at some moment of the call. It drops
	// what the set still holds of a FindOrphan, so that Add adds that member
	// again. A cold partition holds nothing: FindAbsent.
	Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error)

	// Expired returns at most limit batches of p whose lease is over, and none
	// within one lease of the generation's beginning.
	Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error)

	// Elect asks for roles under the name of holder, for a term of that
	// length, and renews the roles that holder has. It answers for each role, in
	// order. A term of 0 resigns. All roles are elected in partition 0.
	Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error)

	// Heartbeat stores report, which is what worker tells of itself, and the time, in place of what worker told before. After an
	// empty report the set forgets the worker. A worker tells of itself while its elections say so (task.Term.Watched). What workers tell is
	// in partition 0, and lost with its data. Nothing goes by it.
	Heartbeat(ctx context.Context, worker string, report []byte) error

	// Workers returns the workers that told of themselves within KeepWorkers, at most MostWorkers, the one that told first before the others, and
	// which of roles each holds. It forgets all others. For Watched from now on the elections ask all workers to tell of themselves (task.Term.Watched).
	Workers(ctx context.Context, roles ...task.Role) (task.Roster, error)

	// Watch tells w what happens in all partitions (task.Watcher), until ctx ends. w.Wake gets an element whenever a partition gets a
	// waiting member that is earlier than all others there, when a pause begins or ends (Pause), and after each connection. w.Removed hears of
	// members that Remove has removed while a worker had claimed them. w.Kept hears of the roles that each Elect wins or renews, unless a
	// process asks for the workers. w.Quiet hears of partitions in which Horizon met no member that is to be offered within task.QuietFor.
	//
	// Watch returns nil when ctx ends, or an error that connecting again does not help against: ErrRefused, ErrClosed.
	Watch(ctx context.Context, w task.Watcher) error
}
