package consumer_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// rows is the consumer's own small Store, in memory; away makes it fail.
type rows struct {
	mu       sync.Mutex
	byID     map[string]task.Row
	away     bool
	with     error         // what it fails with while it is away, if not ErrUnavailable
	tries    int           // deletions that were tried
	lost     error         // of the next Delete, which happens all the same
	instead  func()        // of it, if that is set
	held     chan struct{} // Delete waits for it, if it is set
	slow     time.Duration // so long Delete takes
	unread   chan struct{} // Get does
	moveLost int           // so many Moves happen, but their answers are lost
	moves    []task.Row    // that were tried
	onMove   func() error  // what a Move does and answers, if it is set
	onRead   func()        // called once by Versions that have read
	reads    int           // the same of Get and Versions
	asked    []asking      // what these were asked for
	long     []byte        // the payload of all rows, if it is set
	failAt   int           // the number of the one that fails

	dead     map[task.Ref]task.Burial
	buryLost int // so many Buries happen, but their answers are lost
	raised   int // rows of which RaiseAttempts raised the attempts

	raiseHangs bool // RaiseAttempts waits for the end of its ctx

	deleting, most int // deletions under way, and at once until now
}

// asking is one call of Get: of so many ids, so many payloads were left out.
type asking struct{ ids, cut int }

func (r *rows) fail() error {
	if r.away && r.with != nil {
		return r.with
	}
	if r.away {
		return fmt.Errorf("rows: %w", task.ErrUnavailable)
	}
	return nil
}

func (r *rows) Get(_ context.Context, ids []string) (found []task.Row, err error) {
	if r.unread != nil {
		<-r.unread
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	held, cut := 0, 0
	for _, id := range ids {
		row, ok := r.byID[id]
		if !ok {
			continue
		}
		if r.long != nil {
			row.Payload, row.Size = r.long, len(r.long)
		}
		if len(found) > 0 && held+row.Size > task.MostBytes {
			row.Payload = nil
			cut++
		}
		held += len(row.Payload)
		found = append(found, row)
	}
	r.asked = append(r.asked, asking{len(ids), cut})
	if len(r.asked) == r.failAt {
		return nil, fmt.Errorf("get: %w", task.ErrUnavailable)
	}
	return found, r.fail()
}

func (r *rows) Versions(ctx context.Context, ids []string) (refs []task.Ref, err error) {
	found, err := r.Get(ctx, ids)
	for _, row := range found {
		refs = append(refs, row.Ref)
	}
	if after := r.onRead; after != nil && err == nil {
		r.onRead = nil
		after()
	}
	return refs, err
}

func (r *rows) Delete(ctx context.Context, refs []task.Ref) ([]bool, error) {
	r.count(1)
	if r.held != nil {
		select {
		case <-r.held:
		case <-ctx.Done():
			r.count(-1)
			return nil, ctx.Err()
		}
	}
	r.count(-1)
	r.mu.Lock()
	slow := r.slow
	r.mu.Unlock()
	if err := takes(ctx, slow); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if err := r.fail(); err != nil {
		return nil, err
	}
	deleted := make([]bool, len(refs))
	if r.instead != nil {
		r.instead()
		r.instead, refs = nil, nil
	}
	for i, ref := range refs {
		if row, ok := r.byID[ref.ID]; ok && row.Ver == ref.Ver {
			delete(r.byID, ref.ID)
			deleted[i] = true
		}
	}
	if err := r.lost; err != nil {
		r.lost = nil
		return nil, err
	}
	return deleted, nil
}

func (r *rows) count(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deleting += n
	r.most = max(r.most, r.deleting)
}

func (r *rows) deletions() (now, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deleting, r.most
}

func (r *rows) Move(_ context.Context, ref task.Ref, to task.Row) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.moves = append(r.moves, to)
	if r.onMove != nil {
		return false, r.onMove()
	}
	if err := r.fail(); err != nil {
		return false, err
	}
	row, ok := r.byID[ref.ID]
	if ok && row.Ver == ref.Ver {
		to.Payload, to.PrevVer = row.Payload, ref.Ver
		row, r.byID[ref.ID] = to, to
	}
	if r.moveLost--; r.moveLost >= 0 {
		return false, &task.UnsureError{Refs: []task.Ref{ref}, Err: fmt.Errorf("move: %w", task.ErrUnavailable)}
	}
	return ok && row.Ver == to.Ver, nil
}

func (r *rows) set(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
}

// read is how many calls of Get and Versions there were.
func (r *rows) read() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads
}

func (r *rows) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.byID)
}

// takes returns once a call has taken that long, or with its context's error when that ends.
func takes(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// kit is a consumer with its stores.
type kit struct {
	*testing.T
	c     *consumer.Consumer
	set   *faulty
	store *rows
	done  chan error
	stop  func()
	in    time.Duration // in which tasks are due that add and the like put in
	later []task.Ref    // what the consumer asked to have added later
}

const far = int64(1) << 50

// bubble runs test in a bubble, with a consumer that does not run yet, on a set of
// one partition, or as many as o says.
func bubble(t *testing.T, o consumer.Options, test func(*kit)) {
	t.Helper()
	bubbleBy(t, nil, o, test)
}

// bubbleBy is bubble with a set that has another clock.
func bubbleBy(t *testing.T, now func() time.Time, o consumer.Options, test func(*kit)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if o.Partitions == 0 {
			o.Partitions = 1
		}
		set, err := local.New(local.Options{Now: now, Partitions: o.Partitions})
		if err != nil {
			t.Fatal(err)
		}
		k := &kit{T: t, set: &faulty{Set: set}, store: &rows{byID: map[string]task.Row{}}, done: make(chan error, 1)}
		for p := range o.Partitions {
			if _, err := set.Horizon(t.Context(), p, task.HorizonRequest{Epoch: 1, HorizonMS: far, Limit: 1 << 30}); err != nil {
				t.Fatal(err)
			}
		}
		if o.Report == nil {
			o.Report = &report.Reporter{}
		}
		o.Alarm = wait.NewTimerAlarm
		o.Later = func(r task.Row) { k.later = append(k.later, r.Ref) }
		for _, f := range []struct {
			d   *time.Duration
			def time.Duration
		}{{&o.Lease, 15 * time.Second}, {&o.Drain, 30 * time.Second}, {&o.DeliveryTimeout, 10 * time.Minute}} {
			if *f.d == 0 {
				*f.d = f.def
			}
		}
		if o.Queue == 0 {
			o.Queue = 1000
		}
		k.c = consumer.New(k.set, k.store, o)
		test(k)
	})
}

// run runs the consumer until stop, which waits for Run to return.
func (k *kit) run() {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { k.done <- k.c.Run(ctx) }()
	var once sync.Once
	k.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-k.done; err != nil {
				k.Errorf("Run: %v", err)
			}
		})
	}
	k.Cleanup(k.stop)
	synctest.Wait()
}

// add puts n tasks due in k.in into both stores.
func (k *kit) add(n int, external bool) {
	k.Helper()
	k.addAll(n, func(int) bool { return external })
}

// addAll puts n tasks due in k.in into both stores, the payloads of some into one alone.
func (k *kit) addAll(n int, external func(int) bool) {
	k.Helper()
	k.addEach(0, n, external)
}

// addFrom puts n tasks due in k.in into both stores, whose numbers begin with first.
func (k *kit) addFrom(first, n int) {
	k.Helper()
	k.addEach(first, n, func(int) bool { return false })
}

// taskID is the ID of the task of that number.
func taskID(i int) string { return fmt.Sprintf("t%06d", i) }

func (k *kit) addEach(first, n int, external func(int) bool) {
	k.Helper()
	now := time.Now().Add(k.in).UnixMilli()
	entries := map[int][]task.Entry{} // by partition
	k.store.mu.Lock()
	for i := first; i < first+n; i++ {
		ref := task.Ref{ID: taskID(i), Ver: int64(i + 1)}
		e := task.Entry{Ref: ref, NextMS: now, DueMS: now, Payload: []byte(ref.ID), External: external(i)}
		k.store.byID[ref.ID] = task.Row{Ref: ref, NextMS: now, DueMS: now, Payload: e.Payload, Size: len(e.Payload)}
		if e.External {
			e.Payload = nil
		}
		p := task.Partition(ref.ID, k.set.Config().Partitions)
		entries[p] = append(entries[p], e)
	}
	k.store.mu.Unlock()
	for p, es := range entries {
		asOf, err := k.set.Clock(k.Context(), p)
		if err == nil {
			_, err = k.set.Add(k.Context(), p, task.AddRequest{AsOf: asOf, Entries: es})
		}
		if err != nil {
			k.Fatal(err)
		}
	}
	synctest.Wait()
}

// load says that all rows below that due time are in the set.
func (k *kit) load(ms int64) {
	k.Helper()
	for p := range k.set.Config().Partitions {
		asOf, err := k.set.Clock(k.Context(), p)
		if err == nil {
			_, err = k.set.Feed(k.Context(), p, task.FeedRequest{AsOf: asOf, Epoch: 1, Loaded: task.Cursor{NextMS: ms}})
		}
		if err != nil {
			k.Fatal(err)
		}
	}
}

func (k *kit) consume() *consumer.Delivery {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), 3*time.Hour)
	defer cancel()
	d, err := k.c.Consume(ctx)
	if err != nil {
		k.Fatalf("Consume: %v", err)
	}
	return d
}

func (k *kit) state() task.State {
	k.Helper()
	st, err := k.set.State(k.Context(), 0)
	if err != nil {
		k.Fatal(err)
	}
	return st
}
