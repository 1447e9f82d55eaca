package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

const (
	asyncLimit    = 200_000                // confirms that may wait before ConfirmAsync blocks
	confirmsAtAll = 8                      // grouped confirms under way at once, of either kind
	burialsAtAll  = 2                      // grouped burials under way at once
	retryPause    = 200 * time.Millisecond // after the first failure, then twice as long each time
	maxRetryPause = 5 * time.Second
	storeTimeout  = 15 * time.Second // of one call: longer than the store's own tries
	hotTimeout    = 2 * time.Second  // the same of the hot set
)

// A backlog, of tasks that are due and wait to be delivered, is a burst at first. In a burst the confirms
// of ConfirmAsync yield to deliveries: one group of these confirms goes each yieldPace, or less often
// where the store is busy with those of other processes. To delete a row takes as long as five deliveries.
// So a burst is delivered first, and then confirmed with all that the servers give: of 300,000 tasks due
// at once the last comes after 0.99 s on two cores, and after 3.66 s if nothing yields (docs/performance.md).
//
// A burst ends after burstFor: in a long backlog deliveries wait for confirms anyway, and after a
// crash what is not confirmed is delivered again. It ends sooner when claims get nothing for starvedFor,
// because in a full hot set only confirms make room for what is due.
const (
	burstFor   = 5 * time.Second
	yieldLimit = asyncLimit * 9 / 10 // if more confirms wait than that, they do not yield
	yieldPace  = 150 * time.Millisecond
)

// settler brings the settlements of callers into both stores. Confirm is in confirm.go, Rollback in
// rollback.go, what becomes a dead letter in bury.go, and a Rollback that only the row can keep in postpone.go.
//
// Its goroutines exist while settlements are under way. When the drain is over the context retrying
// ends, and a call that fails is not tried again. Then the context calling ends, and what is under
// way is cut off. A settlement that comes later has one try of each call.
type settler struct {
	c            *Consumer
	confirms     coalesce.Group[confirmation, struct{}] // of Confirm: callers wait for them
	asyncs       coalesce.Group[confirmation, struct{}] // of ConfirmAsync
	burials      coalesce.Group[burial, struct{}]
	releases     []*releaseGroup // by partition
	asyncWaiting chan struct{}   // has an element for each confirm in asyncs: ConfirmAsync blocks while it is full

	retrying, calling    context.Context
	endRetries, cutCalls context.CancelFunc
}

func (s *settler) init(c *Consumer) {
	s.c = c
	s.confirms = coalesce.Group[confirmation, struct{}]{Parallel: confirmsAtAll, Flush: s.confirmGroup}
	s.asyncs = coalesce.Group[confirmation, struct{}]{Parallel: confirmsAtAll, Worth: yieldLimit, Patience: yieldPace,
		Yields: c.backlog.burst, Lingers: s.lingers, Flush: s.confirmGroup}
	s.burials = coalesce.Group[burial, struct{}]{Parallel: burialsAtAll, Flush: s.buryGroup}
	for p := range c.o.Partitions {
		s.releases = append(s.releases, s.newReleases(p))
	}
	s.asyncWaiting = make(chan struct{}, asyncLimit)
	s.retrying, s.endRetries = context.WithCancel(context.Background())
	s.calling, s.cutCalls = context.WithCancel(context.Background())
}

// lingers reports whether confirms of ConfirmAsync may wait for others that share their statement, which is a commit that is flushed: rule 7 of
// coalesce. What a crash of this process has delivered again for that is coalesce.Few tasks, or what is confirmed in coalesce.Linger if that is
// more. Confirms do not linger in a drain, for which Run waits; in a backlog,
// because other rules hold then (burstFor); where MaxInFlight has tasks wait until others are confirmed; and where
// Step waits for each one. It takes no lock that is held while a group is asked for something.
func (s *settler) lingers() bool {
	return s.c.o.MaxInFlight == nil && s.c.handsOut.Load() && !s.c.backlog.exists()
}

// stop makes what is under way end soon, and waits for that.
func (s *settler) stop() {
	s.endRetries()
	soon := time.AfterFunc(hotTimeout, s.cutCalls)
	defer soon.Stop()
	<-s.allComplete()
	s.cutCalls()
}

// allComplete returns a channel that is closed when no settlement is under way. One caller at a
// time waits for it.
func (s *settler) allComplete() <-chan struct{} {
	complete := make(chan struct{})
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.settling > 0 {
		s.c.allSettled = complete
	} else {
		close(complete)
	}
	return complete
}

// call returns a context for one call to a store, which may take d. Once the drain cuts off what is under
// way (calling) the context has ended from the beginning, or a new call would hold the drain up for d. After the
// drain a call has d once more, because a late settlement has one try of each call.
func (s *settler) call(d time.Duration) (context.Context, context.CancelFunc) {
	s.c.mu.Lock()
	after := s.c.stage == closed
	s.c.mu.Unlock()
	if after {
		return context.WithTimeout(context.Background(), d)
	}
	return context.WithTimeout(s.calling, d)
}

// persist makes a write of n tasks to the durable store, and tries until the store answers or retries
// end. To wait costs little; to give up makes other workers do again what was done.
func (s *settler) persist(act string, n int, write func(context.Context) error) error {
	for rest := retryPause; ; rest = min(2*rest, maxRetryPause) {
		ctx, cancel := s.call(storeTimeout)
		err := write(ctx)
		cancel()
		if err == nil || final(err) || s.retrying.Err() != nil {
			return err
		}
		s.c.o.Report.Error(act, err, "tried again", "tasks", n)
		wait.For(s.retrying, rest)
	}
}

// started notes that a caller has settled a delivery.
func (s *settler) started() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.settling++
	s.c.settledLately.add(1)
}

// complete notes that the settlements of ds are in the stores, or have failed. The last act of each
// settlement is to call it, because Run may return then; only Confirm and Rollback return later.
func (s *settler) complete(ds []*Delivery) {
	c := s.c
	c.mu.Lock()
	for _, d := range ds {
		c.leaveBatch(d)
		c.leaveHands(d)
	}
	c.noteComplete(len(ds))
	c.mu.Unlock()
	c.nudgeClaimer()
}

// noteComplete notes that n settlements are under way no more. Under mu.
func (c *Consumer) noteComplete(n int) {
	c.settling -= n
	if c.settling == 0 && c.allSettled != nil {
		close(c.allSettled)
		c.allSettled = nil
	}
}

// final reports whether waiting cannot mend err, for a worker that has been running: its store was
// closed, is another one than it was, or refuses what it was given. No other error is known to be final: a
// right that was revoked, a password that is rotated and a table that is swapped or restored come back, and so does a
// server whose errors are in no list. While a settlement waits its delivery counts as confirming. To
// give it up would not help: the task would be handled again, and its next settlement would meet the same error.
func final(err error) bool {
	return errors.Is(err, task.ErrClosed) || errors.Is(err, task.ErrMismatch) || errors.Is(err, task.ErrInvalid)
}
