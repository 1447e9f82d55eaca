package triggerhook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/agent"
	"github.com/triggerhook/triggerhook/internal/breaker"
	"github.com/triggerhook/triggerhook/internal/fence"
	"github.com/triggerhook/triggerhook/internal/horizon"
	"github.com/triggerhook/triggerhook/internal/preload"
	"github.com/triggerhook/triggerhook/internal/record"
	"github.com/triggerhook/triggerhook/internal/removal"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/internal/retry"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// Scheduler creates, deletes and delivers the tasks of one namespace. All methods
// may be called by any number of goroutines at once; several schedulers, in this
// and other processes, may share the namespace.
type Scheduler struct {
	store    durable.Store
	txs      txStore
	history  *historian // nil: no history is kept
	set      hotset.Set // removals around a fence around a breaker around the Set of New
	o        Options
	parts    int
	report   *report.Reporter
	records  *record.Reader
	window   *horizon.Window
	removals *removal.Retrier // the outermost layer of set, for what a hotset.Set does not have
	adds     *preload.Adder
	elector  *agent.Elector
	consumer *consumer.Consumer
	calls    retry.InFlight // calls under way that remove members
	failures retry.Failures // of adds and removals that are retried
	counts   counts
	ns       namespaceCache
	began    atomic.Int64 // when Run began, in unix milliseconds

	mu    sync.Mutex
	begun error // what a further Run or Handle returns: nil if neither has been called
}

// counts are the counters of this process since it began.
type counts struct {
	created, deleted, rescheduled, requeued atomic.Uint64
	agents                                  agent.Counts
}

// New returns a Scheduler on two stores, which the caller closes after Run or
// Handle has returned. It does no I/O, starts nothing, and there is nothing to
// close. ErrInvalid: a nil store or set, or a bad option; all problems are
// reported together. ErrMismatch: the namespaces of store and set differ. ErrUnsupported: Options.History is
// set, and the store keeps no history.
func New(store durable.Store, set hotset.Set, o Options) (*Scheduler, error) {
	o = o.withDefaults()
	err := o.validate()
	if isNil(store) {
		err = errors.Join(err, fmt.Errorf("%w: store is nil", ErrInvalid))
	}
	if isNil(set) {
		err = errors.Join(err, fmt.Errorf("%w: set is nil", ErrInvalid))
	}
	if !isNil(store) && !isNil(set) && store.Namespace() != set.Config().Namespace {
		err = errors.Join(err, fmt.Errorf("%w: store has namespace %q, set %q", ErrMismatch, store.Namespace(), set.Config().Namespace))
	}
	if !isNil(set) {
		err = errors.Join(err, o.checkShares(set.Config().Partitions))
	}
	history, wrong := newHistorian(store, o.History, o.Worker)
	if err = errors.Join(err, wrong); err != nil {
		return nil, fmt.Errorf("new scheduler: %w", err)
	}
	s := &Scheduler{store: store, history: history, o: o, parts: set.Config().Partitions, report: &report.Reporter{Logger: o.Logger},
		ns: namespaceCache{turn: make(chan struct{}, 1)}}
	s.txs.store, _ = store.(durable.TxStore)
	s.compose(set)
	return s, nil
}

// compose makes the parts of s. Each layer of the hot set is a hotset.Set around the one
// before: a call goes through the removals, then the fence, then the breaker.
func (s *Scheduler) compose(set hotset.Set) {
	protected := breaker.Wrap(set, s.report)
	outage := record.NewOutage(s.parts)
	s.records = record.NewReader(s.store, protected, s.report)
	fenced := fence.Wrap(protected, s.records, outage)
	s.removals = removal.Wrap(fenced, removal.Options{Versions: s.store.Versions, Closed: s.giveUp, Calls: &s.calls,
		Failures: &s.failures, Report: s.report})
	s.set = s.removals
	s.window = horizon.New(s.o.Window, s.store, s.records, s.report)
	s.adds = preload.New(preload.Options{Store: s.store, Set: s.set, Records: s.records, Window: s.window,
		InlinePayload: s.o.InlinePayload, Keeps: s.history.ofEntries(), Closed: s.giveUp,
		Failures: &s.failures, Report: s.report, Hooks: s.o.Hooks})
	s.elector = agent.NewElector(agent.Options{Name: rand.Text(), Tell: s.ownReport,
		Store: s.store, Outbox: s.txs.store, History: s.history.ofAgents(), Retention: s.o.History.Retention,
		Set: s.set, Fenced: fenced, Records: s.records, Outage: outage, Window: s.window, Adder: s.adds,
		Lease: s.o.Lease, AuditGrace: s.o.AuditGrace, HotTasks: s.o.HotTasks, InlinePayload: s.o.InlinePayload,
		Counts: &s.counts.agents, Report: s.report, Hooks: s.o.Hooks})
	s.consumer = consumer.New(s.set, s.store, s.consumerOptions(set.Config()))
}

// consumerOptions are the options of the consumer on a set with that Config.
func (s *Scheduler) consumerOptions(set hotset.Config) consumer.Options {
	limits, ahead := s.o.limits(s.parts), s.o.ClaimAhead
	if set.InProcess { // a claim costs nothing there
		ahead = 0
	}
	return consumer.Options{Partitions: s.parts, Queue: s.o.Queue, Lease: s.o.Lease, Ahead: ahead,
		MaxRate: s.o.MaxRate, Interval: limits.interval, MaxInFlight: limits.maxInFlight,
		Drain: s.o.Drain, DeliveryTimeout: s.o.DeliveryTimeout, Retry: s.o.Retry, MaxAttempts: s.o.MaxAttempts,
		Pause: s.records.Pause, PauseNoted: s.records.PauseNoted(),
		Kept:    s.elector.Kept, // the consumer's subscription (hotset.Set.Watch) is the only one of the process, so it hears for the elector too
		Later:   func(r task.Row) { s.adds.Enqueue([]task.Row{r}) },
		History: s.history.ofConsumer(), Report: s.report, Hooks: s.o.Hooks}
}

// isNil reports whether v is a nil interface, or one that holds a nil pointer.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return v == nil || r.Kind() == reflect.Pointer && r.IsNil()
}

// Namespace returns the namespace of s.
func (s *Scheduler) Namespace() string { return s.store.Namespace() }

// Migrate brings the durable store's schema up to date, and records Options.Window and
// Options.Lease if none are recorded. Any number of processes may call it at once. ErrMismatch: another
// number of partitions is recorded.
func (s *Scheduler) Migrate(ctx context.Context) error {
	if err := s.store.Migrate(ctx, s.parts); err != nil {
		return err
	}
	if err := s.window.Announce(ctx); err != nil {
		return err
	}
	if k, _, _ := s.records.Last(); k.Lease != (task.Lease{}) {
		return nil
	}
	return s.records.AnnounceLease(ctx, s.o.Lease)
}

// Run makes this process a worker: it claims tasks for Consume, keeps their
// leases, and may be elected feeder, reaper or auditor. It returns nil when ctx has ended and
// the drain is finished, never ctx.Err(). Deliveries that their callers have not answered
// within Options.Drain are no error: they are given back, their contexts end with
// ErrClosed, a warning names them, and an answer that comes later is tried once.
//
// It waits for servers that are away, at the start and later. It returns at once an error that
// waiting does not change: ErrNotMigrated, ErrMismatch (for example because the hot set belongs to
// another durable store), ErrRefused. If ctx ends before Run could work with both stores it
// returns ErrUnavailable, with the last cause. After these errors it may be called again.
//
// ErrMismatch and ErrRefused may also come later, when a later call finds the problem; Run has
// drained then. ErrRunning: it or Handle runs already. ErrClosed: one of them has returned.
func (s *Scheduler) Run(ctx context.Context) error {
	if err := s.begin(); err != nil {
		return err
	}
	return s.run(ctx)
}

// begin lets one Run or Handle pass.
func (s *Scheduler) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun != nil {
		return fmt.Errorf("run: %w", s.begun)
	}
	s.begun = ErrRunning
	return nil
}

// setBegun sets what Run and Handle return from now on; nil: they may run again.
func (s *Scheduler) setBegun(answer error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = answer
}

// run checks both stores, starts all goroutines of the worker, and returns after all of them. The
// order of the end: the consumer drains, the roles are resigned, adds and removals that wait are
// made, and a hot set in memory is released.
func (s *Scheduler) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer s.records.Work(func(err error) { cancel(&fatalError{err}) })()
	if err := s.check(ctx); err != nil {
		s.setBegun(nil) // nothing ran
		return err
	}
	s.began.Store(time.Now().UnixMilli())
	ended := make(chan time.Time, 1)
	unregister := context.AfterFunc(ctx, func() { ended <- time.Now() })
	agents, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { s.elector.Run(agents) })
	wg.Go(func() { s.records.Run(agents) })
	s.adds.Linger(!s.set.Config().InProcess) // a call costs nothing there
	err := s.consumer.Run(ctx)
	s.adds.Linger(false)
	stop()
	wg.Wait()
	since := time.Now()
	if !unregister() { // it is called: ctx has ended
		since = <-ended
	}
	s.lastFlush(ctx, since)
	s.elector.Release(ctx)
	s.setBegun(ErrClosed)
	var fatal *fatalError
	if errors.As(context.Cause(ctx), &fatal) {
		err = errors.Join(fmt.Errorf("run: %w", fatal.err), err)
	}
	return err
}

// fatalError is the cause of the end of a run if trying again does not help: the hot set belongs to
// another durable store, or to another process.
type fatalError struct{ err error }

// Error is what the record.Reader has found.
func (e *fatalError) Error() string { return e.err.Error() }

// check waits until this process can work with both stores. It returns an error if waiting cannot
// help, or if ctx ends first: a program that stops then has not run, and must not look as if
// it had.
func (s *Scheduler) check(ctx context.Context) error {
	last := errors.New("no check was finished")
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := errors.Join(s.store.Check(ctx, s.parts), s.checkPayload(ctx))
		for p := 0; p < s.parts && err == nil; p++ {
			err = s.set.Check(ctx, p)
		}
		if err == nil {
			err = s.records.AnnounceLease(ctx, s.o.Lease)
		}
		var fatal *fatalError
		if errors.As(context.Cause(ctx), &fatal) {
			return fmt.Errorf("run: %w", fatal.err)
		}
		if err == nil {
			return nil
		}
		for _, never := range []error{ErrNotMigrated, ErrMismatch, ErrRefused} {
			if errors.Is(err, never) {
				return fmt.Errorf("run: %w", err)
			}
		}
		if ctx.Err() != nil { // which err may be about, so the error does not wrap it
			return fmt.Errorf("run: %w until its context ended: %v", ErrUnavailable, last)
		}
		last = err
		s.report.Error("start", err, "tried again")
		wait.For(ctx, pause)
	}
}

// checkPayload refuses a MaxPayload that the store's server does not take, if the Store
// knows what it takes.
func (s *Scheduler) checkPayload(ctx context.Context) error {
	store, ok := s.store.(interface {
		MaxPayload(context.Context) (int, error)
	})
	if !ok {
		return nil
	}
	most, err := store.MaxPayload(ctx)
	if err == nil && s.o.MaxPayload > most {
		err = fmt.Errorf("%w: Options.MaxPayload is %d, and the server's max_allowed_packet is sure to take %d", ErrRefused, s.o.MaxPayload, most)
	}
	return err
}

// Consume waits for a task that is due and returns it; any number of goroutines
// may. It needs Run beside it and warns once if there is none for 5 s. The error
// is ctx.Err(), or ErrClosed once Run has begun to drain.
func (s *Scheduler) Consume(ctx context.Context) (*Delivery, error) { return s.consumer.Consume(ctx) }

// Deliveries is Consume as a range; it ends when ctx or Run ends.
func (s *Scheduler) Deliveries(ctx context.Context) iter.Seq[*Delivery] {
	return func(yield func(*Delivery) bool) {
		for {
			d, err := s.Consume(ctx)
			if err != nil || !yield(d) {
				return
			}
		}
	}
}
