package task

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// The messages between a scheduler and its hot set. They live here, and not in
// package hotset, because consumer names what it needs of a set as an interface
// of its own.

// TombstoneTTL is T of the protocol. A removed member is remembered for at least that
// long, and a row that was read from the durable store may be added to the hot set for
// at most that long.
const TombstoneTTL = 10 * time.Second

// RegisterWait is for how long after the beginning of a generation the feeder loads no row that a worker may have claimed before
// that: one that is due up to MaxAhead after the beginning. Workers register first what they hold. Each worker that holds
// something looks once a second.
const RegisterWait = 2 * time.Second

// Errors of the hot set that its callers act upon and users never see.
var (
	// ErrCold: the partition holds no (valid) generation: it is new, or the
	// server lost or exchanged its data. The feeder makes a new generation.
	ErrCold = errors.New("hot set is cold")
	// ErrOther is an ErrCold: the partition has a generation, but not the one that the
	// caller expects to be current. Either another one has become current since, or the
	// current one is on another server. The caller reads the records of the durable store again.
	ErrOther = fmt.Errorf("%w: it has a generation that is not current", ErrCold)
	// ErrStale: the caller's AsOf is older than TombstoneTTL or of another
	// generation. The caller reads the rows again and tries anew.
	ErrStale = errors.New("knowledge is stale")
	// ErrAborted: the caller names another generation than the partition has, or an older
	// epoch. The caller begins its work anew.
	ErrAborted = errors.New("another generation or a newer feeder")
)

// AsOf is a moment of one partition: its generation and its hot-set time. What
// a caller reads from the durable store after it has seen an AsOf is at least as
// recent as that.
type AsOf struct {
	Generation int64 // 0: none
	TimeUS     int64 // the hot set's clock, unix microseconds
}

// Expected is what the durable store records of its hot set.
type Expected struct {
	Identity    string  // of the durable store
	Generations []int64 // by partition, the current one; 0: none
	Pause       Pause   // whether claims are to give tasks
}

// Entry is a member of the hot set on its way in: one version of a task.
type Entry struct {
	Ref
	NextMS  int64  // the row's NextMS
	DueMS   int64  // the row's DueMS
	Attempt int    // failed attempts so far: rollbacks, timeouts, lost leases
	Payload []byte // nil if External
	Headers string // encoded (EncodeHeaders); empty if there are none, or if External
	// ExpiresMS is the row's; 0 if it has none, or if External.
	ExpiresMS int64
	// CreatedMS is the row's, so that a worker that keeps history need not read it there; 0 if no history is kept, or if External.
	CreatedMS int64
	// External: payload and headers are too long for the hot set. They are read from the
	// durable store at the claim, with ExpiresMS and CreatedMS.
	External bool
}

// MaxAhead is how long before it is due a member may be claimed at most (ClaimAhead). The feeder and Delete rely on it: what is due
// later than MaxAhead after a loss of data cannot have been claimed before the loss.
const MaxAhead = 100 * time.Millisecond

// ClaimRequest asks a partition for members that are due, or will be within Ahead.
type ClaimRequest struct {
	Token string        // the name of the batch; a claim whose answer was lost is repeated with the same one
	Limit int           // most members to take
	Lease time.Duration // of the batch
	// Ahead is how long before a member is due the claim may take it: at most MaxAhead, in whole milliseconds. A set may ignore it.
	Ahead time.Duration
	// AheadLimit is how many members, due ones too, the claim has at most if it takes any that is not due yet.
	AheadLimit int
	// MaxInFlight, if it is not 0, is how many members of the partition may be claimed at a time, by this claim and all others.
	MaxInFlight int
	// Interval, if it is not 0, is the time from one claimed member of the partition to the next, on average: a claim takes no more
	// than the time since earlier claims allows. Time that was not used counts for a second, or for one member if that is more.
	Interval time.Duration
}

// Batch is what one claim took: members in one worker's hands under one lease.
type Batch struct {
	AsOf   AsOf    // when the claim happened
	Token  string  // the name of the batch
	Claims []Claim // empty if nothing was due, or to be taken
	NextMS int64   // when the first of the members that still wait is next offered, 0 if none waits
	// LoadedMS is the due time up to which the feeder has read the rows: a row that is due
	// later may be in the durable store alone.
	LoadedMS int64
	// Pause is what the partition goes by. While it is in effect no claim takes anything.
	Pause Pause
	// AgainMS, if it is not 0, is when Interval allows the next member: it left nothing more to this claim.
	AgainMS int64
	// Full: MaxInFlight left nothing more to this claim.
	Full bool
	// Repeated: an earlier claim with the same token took the members.
	Repeated bool
	// ClockUS is a reading of the partition's clock that was made after the claim, and before its answer came; 0: there is none but AsOf. A claim
	// of many members takes its time, and AsOf is of when it began. It is before AsOf if the clock was set back meanwhile.
	ClockUS int64
}

// MoreDue reports whether the claim may have left tasks that are due: members that wait, or
// rows that the feeder has not read yet.
func (b Batch) MoreDue() bool {
	now := b.AsOf.TimeUS / 1000
	return b.NextMS > 0 && b.NextMS <= now || b.LoadedMS <= now
}

// Limited reports whether more must not be claimed at present: because of a pause, of AgainMS, or of Full.
func (b Batch) Limited() bool {
	return b.Full || b.AgainMS > 0 || b.Pause.At(time.UnixMicro(b.AsOf.TimeUS))
}

// Claim is one claimed member.
type Claim struct {
	Entry
	// EntryLost: the hot set has lost the entry of the member (an eviction). Only Ref is valid then,
	// and the row has the rest.
	EntryLost bool
	// OfferMS is when the member is offered, if the claim took it ahead of that; 0: it was due. In a batch that was Repeated it is not known.
	OfferMS int64
}

// AddRequest asks a partition to add members.
type AddRequest struct {
	AsOf    AsOf    // seen before their rows were inserted or read
	Entries []Entry // distinct members
	// Token, if set, registers the entries as claimed in the batch of that
	// name, whatever the horizon. A worker does that with what it holds when
	// the hot set has begun a new generation.
	Token string
	Lease time.Duration // of the batch that Token names
}

// FeedRequest carries what the feeder found in one piece of its scan of a partition.
type FeedRequest struct {
	AsOf    AsOf    // seen before the rows were read; also names the generation that the scan began under
	Epoch   int64   // of the feeder
	Entries []Entry // the rows of the page that belong to the partition
	Loaded  Cursor  // the partition holds all rows up to here once the page is in
}

// HorizonRequest asks a partition to begin a feeder's round.
type HorizonRequest struct {
	Epoch     int64 // of the feeder
	HorizonMS int64 // raise the horizon to this, unless the partition is full
	Limit     int   // members that the partition may hold
	// Look leaves a cold partition as it is: the answer is ErrCold.
	Look bool
	// Generation is the one to begin if the partition is cold; 0: a random one.
	Generation int64
	// Server, if set, is the only server on which the generation may begin: on another one
	// the partition stays cold.
	Server string
}

// PartitionStatus is what the feeder learns about a partition.
type PartitionStatus struct {
	AsOf      AsOf   // when the answer was given
	StartMS   int64  // when the generation began, hot-set time
	ReadyMS   int64  // rows due before StartMS + MaxAhead may be loaded from then on
	HorizonMS int64  // Add takes what is due before it
	Loaded    Cursor // all rows up to here are in
	Members   int    // waiting and claimed
	Taken     int    // entries of this FeedRequest that were no members before
	New       bool   // this call began the generation
	Retreated bool   // this call lowered the horizon
	Server    string // the identity of the server that answers; with ErrCold too
}

// ReleaseRequest gives claimed members back.
type ReleaseRequest struct {
	Token   string        // the name of the batch that they are in
	Refs    []Ref         // the members
	Delay   time.Duration // offer them that long from now
	AtNext  bool          // offer them at the NextMS of their entries, or at NotBeforeMS if that is later; Delay is ignored
	Counted bool          // counts as an attempt
	// Expired is set by the reaper: give them back only if the lease of the batch is over.
	// The reaper has read the rows after AsOf, and all of them exist.
	Expired bool
	AsOf    AsOf // used with Expired only
	// NotBeforeMS is set by a worker that gives back what it has claimed ahead: a delay that is not over yet is in no entry.
	NotBeforeMS int64
}

// Held is what a caller holds in one batch.
type Held struct {
	Token string // of the batch
	Refs  []Ref  // members of it
}

// RemoveResult is the answer to a removal.
type RemoveResult struct {
	AsOf     AsOf            // when it happened; no generation: the partition is cold and held nothing
	Outcomes []RemoveOutcome // of each member, in order
}

// Watcher hears what happens in the partitions. What is not heard, because a connection was down say, is not repeated.
type Watcher struct {
	// Wake gets an element, if it has room, when an earlier member than all others waits, a pause begins or ends, or the connection is new.
	Wake chan<- struct{}
	// Removed, unless it is nil, is called with members that were removed while a caller had claimed them. It must return soon.
	Removed func(p int, refs []Ref)
	// Kept, unless it is nil, is called when a process was elected to roles, or has renewed them, for that long. It must return soon.
	Kept func(roles []Role, term time.Duration)
	// Quiet, unless it is nil, is called when a feeder has met a partition in which no waiting member is to be offered for QuietFor. It
	// must return soon.
	Quiet func(p int)
}

// QuietFor is for how long no member is to be offered in a partition that Watcher.Quiet tells of.
const QuietFor = 9 * time.Second

// FindResult is what the hot set knows of a member.
type FindResult struct {
	Outcome FindOutcome // where it is
	NextMS  int64       // FindWaiting: when it is next offered
	Attempt int         // FindWaiting, FindClaimed: failed attempts so far
}

// ExtendRequest names the batches that one process holds in a partition, and those of their
// members that the process still works on.
type ExtendRequest struct {
	Generation int64         // under which they were claimed or registered
	Tokens     []string      // the names of the batches
	Refs       []Ref         // the members
	Lease      time.Duration // from now on
}

// ExtendResult is the answer to an extension.
type ExtendResult struct {
	AsOf AsOf     // when it happened
	Lost []string // tokens whose lease had ended and was reaped: not extended
	Gone []Ref    // members that were removed (deleted, rescheduled) meanwhile
}

// ExpiredBatch is a batch whose lease is over.
type ExpiredBatch struct {
	Token string // its name
	Refs  []Ref  // its members
}

// State is what a partition holds.
type State struct {
	AsOf      AsOf   // when the answer was given
	HorizonMS int64  // Add takes what is due before it
	Loaded    Cursor // all rows up to here are in
	Waiting   int64  // members that wait, due or not
	Due       int64  // of those, how many are due
	Claimed   int64  // members in workers' hands
	OldestMS  int64  // when the first waiting member is to be offered, 0 if none waits
	// StartMS is when the generation began, or now if there is none. Workers may hold
	// tasks that they had claimed before that, and the partition does not know it. 0: no
	// worker can hold a task from before.
	StartMS int64
	Server  string // the identity of the server that answers, also if the partition is cold
	Other   bool   // the partition is cold because its generation is not the current one
	// Watchers is how many calls of Watch are under way, in a set that lives in one
	// process.
	Watchers int
}

// Count is a number of rows.
type Count struct {
	N     int64 // how many rows
	Exact bool  // N is not an estimate
}

// MaxTimes is the most times that one call of Waiting takes.
const MaxTimes = 1000

// CheckTimes returns an ErrInvalid if there are more than MaxTimes times.
func CheckTimes(ms []int64) error {
	if len(ms) > MaxTimes {
		return fmt.Errorf("%w: %d times in one call, at most %d are allowed", ErrInvalid, len(ms), MaxTimes)
	}
	return nil
}

// WaitingCounts is the answer of Waiting.
type WaitingCounts struct {
	AsOf   AsOf    // when the answer was given
	Loaded Cursor  // all rows up to here are in
	Counts []int64 // for each time, how many members wait that are next offered before it
}

// Role is a background role that one process at a time holds.
type Role string

// The background roles.
const (
	Feeder  Role = "feeder"
	Reaper  Role = "reaper"
	Auditor Role = "auditor"
)

// Term is the answer to an election.
type Term struct {
	Held  bool          // the caller is the holder
	Epoch int64         // of the holder; each next holder has a greater one
	Left  time.Duration // until the term of the present holder ends
	New   bool          // this call began the term
	// Watched: a process asks for the workers (hotset.Set.Workers), and the caller is to tell of itself (Heartbeat).
	Watched bool
}

// Roster are the workers that told of themselves.
type Roster struct {
	AsOf    int64    // the time of the hot set's clock, in unix milliseconds
	Since   int64    // when a process began to ask for the workers, and so had them tell of themselves; at most AsOf
	Workers []Worker // those who told first before the others
}

// Worker is a worker that told of itself (hotset.Set.Heartbeat).
type Worker struct {
	Name   string // as in elections
	ToldMS int64  // when, by the hot set's clock, in unix milliseconds
	Report []byte // what it told
	Roles  []Role // that it holds, of those that were asked for
}

// Compare orders workers by when they told, and by name.
func (w Worker) Compare(other Worker) int {
	return cmp.Or(cmp.Compare(w.ToldMS, other.ToldMS), cmp.Compare(w.Name, other.Name))
}
