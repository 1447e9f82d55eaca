package triggerhook

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/internal/horizon"
	"github.com/triggerhook/triggerhook/internal/record"
	"github.com/triggerhook/triggerhook/retrypolicy"
	"github.com/triggerhook/triggerhook/task"
)

// Options of New. The zero value of each field is its default; a negative one (except
// of ClaimAhead), or one out of its range, is ErrInvalid.
type Options struct {
	// Window is how far ahead the hot set is kept full: 1 min, 1 s to 24 h. The largest
	// Window of a namespace is recorded, and a feeder with a larger one uses it about 70 s later.
	// The hot set is told nothing of tasks that are due more than 40 s beyond the largest one.
	Window time.Duration
	// Lease is how long a claim lasts unless its worker extends it, as it does
	// while it lives: 15 s, 1 s to 10 min. A crashed worker's tasks fire again
	// after that. Processes of a namespace may have different ones: the longest is
	// recorded, and Delete goes by it.
	Lease time.Duration
	// Drain is how long Run waits for deliveries in hand when it ends: 30 s.
	Drain time.Duration
	// DeliveryTimeout is how long a caller may hold a delivery until its context ends, and the task is given
	// back within a second: 10 min. It is the Deadline of that context. A Confirm that comes later still counts.
	DeliveryTimeout time.Duration
	// HotTasks is about how many tasks the hot set holds, waiting and claimed: 500,000.
	// Creates within the window may exceed it until the feeder's next round, and tasks that
	// were rolled back stay in the hot set even above it.
	HotTasks int
	// InlinePayload is the longest payload in bytes, with its headers, that the hot set holds;
	// longer ones are read from the durable store at the claim, with their headers: 1 KiB.
	InlinePayload int
	// MaxPayload is the longest payload in bytes, without headers, that Create takes: 64 KiB, at
	// most 16 MiB - 1.
	MaxPayload int
	// Queue is how many claimed tasks wait in this process at most: 1,000.
	Queue int
	// ClaimAhead is how long before a task is due this process may claim it, for a caller that waits: 30 ms, at most 100 ms. The task is
	// delivered when it is due, never before. Negative: nothing is claimed before it is due.
	//
	// It saves calls of Redis, and the round trip by which each task would be late. The price: the task is claimed earlier, and Delete
	// answers ErrClaimed from then on. If another call deletes or changes the task meanwhile, this process hears of that within milliseconds,
	// unless the message is lost, and does not deliver the old version then. An old version that is delivered nevertheless cannot be confirmed.
	//
	// Nothing is claimed ahead with MaxRate, NamespaceRate, MaxInFlight, or a hot set in the memory of this process, nor while Redis's clock goes slower
	// than this process's, as when a daemon corrects one of them.
	ClaimAhead time.Duration
	// AuditGrace is how late a task must be before the auditor checks that the hot
	// set still has it: 5 s.
	AuditGrace time.Duration
	// MaxRate is how many tasks a second this process claims for its callers: 0, as many as are due and wanted.
	// What it did not use is saved up for a second at most (for one task, if MaxRate is below 1): it claims no more than
	// (t + 1 s) * MaxRate tasks in any span of time t. A task counts when it is claimed, also if it is given back. A process that was held up may begin handlers
	// closer together.
	MaxRate float64
	// NamespaceRate is the same for all processes of the namespace together: 0, no limit. The hot set counts. Each partition has an equal
	// share, so a namespace whose tasks are all in one partition gets only the share of that one. Where a share is below 1, each partition may
	// have one task at once: the namespace claims no more than t * NamespaceRate tasks in any span of time t, plus NamespaceRate or the number of
	// partitions, whichever is larger. What was counted is lost with the hot set's data. All processes should have the same NamespaceRate,
	// because each claim goes by that of its own process.
	NamespaceRate float64
	// MaxInFlight is how many tasks of the namespace may be claimed at a time, by all processes together: 0, no limit. It counts
	// what handlers hold, what waits to be settled, and what waits in the processes' queues (Queue). Each partition has its
	// share, so it must not be below their number. For some seconds after Redis has lost its data, and while processes with different values
	// run, more may be claimed.
	MaxInFlight int
	// Retry says how long a task waits after a failed attempt. Package retrypolicy has the policies: Exponential,
	// Constant, List, and Func for a function of the task, the attempt and the error. The default is the zero
	// retrypolicy.Exponential: a random delay of up to 1 s, doubled with each attempt, up to 1 h. If the policy panics, or
	// answers a delay that is not positive or is above a year, the default is used and the log says so.
	Retry retrypolicy.Policy
	// MaxAttempts is after how many failed attempts a task becomes a dead letter: 0, never. What counts as a failed
	// attempt is a Handler's error or panic, Delivery.Fail, Rollback, a DeliveryTimeout, and a lease that ran out, as it
	// does when the task kills its worker. A Snooze does not count. The next attempt does not begin before this is
	// checked. After Redis lost its data one attempt may be forgotten. The processes of a namespace should agree on it.
	MaxAttempts int
	// Middleware wraps the Handler of Scheduler.Handle, and nothing else: Consume and Deliveries
	// do without it. The first is the outermost: it sees the delivery first, and the
	// result last. New copies the slice.
	Middleware []Middleware
	// Worker is the name of this process, for people: in Workers and in the history. At most 64 bytes of valid UTF-8. The default is the
	// host's name, a colon and the process ID.
	Worker string
	// History keeps what became of tasks: none is kept by default.
	History History
	// Hooks are told of events: package hook says when each is called, and what it must not do.
	Hooks hook.Hooks
	// Logger is where the log goes: slog.Default(). At Warn it gets errors that cannot be returned
	// to a caller, and each Handler that panics, ends its goroutine, or is stuck. At Info it
	// gets each failure of a Handler, with id, attempt and error, each asynchronous confirm that
	// came too late (ErrGone), and the events of the background roles.
	Logger *slog.Logger
}

const (
	maxWindow  = horizon.Max
	maxLease   = record.MaxLease
	maxPayload = 1<<24 - 1 // MEDIUMBLOB
	// maxAttempts keeps the column attempt, which has 32 bits, far from its end.
	maxAttempts = 1_000_000_000
)

func (o Options) withDefaults() Options {
	def(&o.Window, time.Minute)
	def(&o.Lease, 15*time.Second)
	def(&o.Drain, 30*time.Second)
	def(&o.DeliveryTimeout, 10*time.Minute)
	def(&o.HotTasks, 500_000)
	def(&o.InlinePayload, 1<<10)
	def(&o.MaxPayload, 64<<10)
	def(&o.Queue, 1000)
	def(&o.ClaimAhead, 30*time.Millisecond)
	def(&o.AuditGrace, 5*time.Second)
	o.History = o.History.withDefaults()
	o.Middleware = slices.Clone(o.Middleware)
	if o.Worker == "" {
		o.Worker = defaultWorker()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate reports all problems of options that have their defaults.
func (o Options) validate() error {
	return errors.Join(
		within("Window", o.Window, time.Second, maxWindow),
		within("Lease", o.Lease, time.Second, maxLease),
		within("Drain", o.Drain, 0, 1<<62),
		within("DeliveryTimeout", o.DeliveryTimeout, 0, 1<<62),
		within("HotTasks", o.HotTasks, 1, min(1<<40, math.MaxInt)), // the latter on 32 bits
		within("InlinePayload", o.InlinePayload, 0, maxPayload),
		within("MaxPayload", o.MaxPayload, 0, maxPayload),
		within("Queue", o.Queue, 1, 1_000_000),
		checkAhead(o.ClaimAhead),
		within("AuditGrace", o.AuditGrace, 0, maxWindow),
		within("MaxAttempts", o.MaxAttempts, 0, maxAttempts),
		checkWorker(o.Worker),
		o.History.validate(),
		within("MaxInFlight", o.MaxInFlight, 0, math.MaxInt32),
		checkRate("MaxRate", o.MaxRate),
		checkRate("NamespaceRate", o.NamespaceRate),
		checkRetry(o.Retry),
		checkMiddleware(o.Middleware),
	)
}

// maxRate is the greatest rate: one task in a microsecond, which is what the hot set's clock can tell apart.
const maxRate = 1e6

// checkAhead refuses a ClaimAhead that Delete and the feeder do not reckon with.
func checkAhead(d time.Duration) error {
	if d > task.MaxAhead {
		return fmt.Errorf("%w: Options.ClaimAhead is %v, at most %v is allowed", task.ErrInvalid, d, task.MaxAhead)
	}
	return nil
}

// checkRate refuses a rate that is no number, or out of range.
func checkRate(name string, rate float64) error {
	if !(rate >= 0 && rate <= maxRate) { // NaN is neither
		return fmt.Errorf("%w: Options.%s is %v, allowed are 0 to %v", task.ErrInvalid, name, rate, maxRate)
	}
	return nil
}

// checkRetry refuses a policy that cannot be used.
func checkRetry(p retrypolicy.Policy) error {
	if err := retrypolicy.Check(p); err != nil {
		return fmt.Errorf("Options.Retry is no policy that can be used: %w", err)
	}
	return nil
}

func within[T int | time.Duration](name string, v, low, high T) error {
	if v < low || v > high {
		return fmt.Errorf("%w: Options.%s is %v, allowed are %v to %v", task.ErrInvalid, name, v, low, high)
	}
	return nil
}
