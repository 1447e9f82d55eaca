package triggerhook_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/task"
)

// modelWorld is where the model test of the Scheduler runs.
type modelWorld struct {
	store   durable.Store
	set     hotset.Set
	flush   func(*rapid.T)  // the hot set loses all it holds
	pass    []time.Duration // by what times may pass in one step
	dues    []time.Duration // from now
	delays  []time.Duration // of rollbacks
	lease   time.Duration
	patient time.Duration // how long after the last task's time all are to have fired
}

func embeddedWorld(rt *rapid.T, dir string, partitions int) *modelWorld {
	path := filepath.Join(dir, short())
	store, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		rt.Fatal(err)
	}
	rt.Cleanup(func() { _, _ = store.Close(), os.Remove(path) })
	f := &flushed{}
	empty := func(rt *rapid.T) {
		set, err := local.New(local.Options{Partitions: partitions})
		if err != nil {
			rt.Fatal(err)
		}
		if told := f.told.Load(); told != nil {
			if err := set.Expect(*told); err != nil {
				rt.Fatal(err)
			}
		}
		var now hotset.Set = set
		f.now.Store(&now)
		if f.Set == nil {
			f.Set = set
		}
	}
	empty(rt)
	return &modelWorld{store: store, set: f, flush: empty,
		pass:   []time.Duration{0, time.Millisecond, time.Second, 5 * time.Second, 15 * time.Second, time.Minute},
		dues:   []time.Duration{-time.Hour, 0, 10 * time.Millisecond, time.Second, 30 * time.Second, 61 * time.Second, 3 * time.Minute},
		delays: []time.Duration{-time.Second, 0, time.Millisecond, 2 * time.Second, 50 * time.Second, 2 * time.Minute},
		lease:  4 * time.Second, patient: time.Minute}
}

func serverWorld(store durable.Store, set hotset.Set, rdb *redis.Client) *modelWorld {
	return &modelWorld{store: store, set: set,
		flush: func(rt *rapid.T) {
			const all = `for _, k in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('UNLINK', k) end`
			if err := rdb.Eval(rt.Context(), all, nil, "{"+store.Namespace()+":*").Err(); err != nil && !errors.Is(err, redis.Nil) {
				rt.Fatal(err)
			}
		},
		pass:   []time.Duration{0, time.Millisecond, 30 * time.Millisecond, 150 * time.Millisecond},
		dues:   []time.Duration{-time.Hour, 0, 10 * time.Millisecond, 100 * time.Millisecond, time.Hour},
		delays: []time.Duration{-time.Second, 0, time.Millisecond, 50 * time.Millisecond, time.Hour},
		lease:  time.Second, patient: time.Minute}
}

// process is one process of a namespace: a scheduler that can be killed.
type process struct {
	*triggerhook.Scheduler
	dead atomic.Bool
	stop context.CancelFunc
	done chan error
}

func (w *modelWorld) start(rt *rapid.T, o triggerhook.Options) *process {
	p := &process{done: make(chan error, 1)}
	o.Lease, o.AuditGrace, o.Drain = w.lease, time.Second, time.Millisecond
	o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	var err error
	if p.Scheduler, err = triggerhook.New(mortalStore{w.store, &p.dead}, mortalSet{w.set, &p.dead}, o); err != nil {
		rt.Fatal(err)
	}
	if err := p.Migrate(rt.Context()); err != nil {
		rt.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() { p.done <- p.Run(ctx) }()
	return p
}

// end ends a process, killed or by its own will; all of it is gone then.
func (p *process) end(rt *rapid.T, kill bool) {
	p.dead.Store(p.dead.Load() || kill)
	p.stop()
	if err := <-p.done; err != nil && !errors.Is(err, triggerhook.ErrUnavailable) { // that it ended before it had begun
		rt.Fatalf("Run: %v", err)
	}
}

// mortalStore and mortalSet are what a process has of the stores: nothing that it
// says reaches them once it is dead.
type mortalStore struct {
	durable.Store
	dead *atomic.Bool
}

type mortalSet struct {
	hotset.Set
	dead *atomic.Bool
}

var errDead = fmt.Errorf("the process is dead: %w", task.ErrUnavailable)

func (m mortalStore) Create(ctx context.Context, rows []task.Row) error {
	if m.dead.Load() {
		return errDead
	}
	return m.Store.Create(ctx, rows)
}

func (m mortalStore) Delete(ctx context.Context, refs []task.Ref) ([]bool, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Store.Delete(ctx, refs)
}

func (m mortalStore) DeleteByID(ctx context.Context, ids []string, aboveMS int64) ([]task.Row, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Store.DeleteByID(ctx, ids, aboveMS)
}

func (m mortalStore) RaiseAttempts(ctx context.Context, counts []task.Attempts) (int, error) {
	if m.dead.Load() {
		return 0, errDead
	}
	return m.Store.RaiseAttempts(ctx, counts)
}

func (m mortalStore) Move(ctx context.Context, ref task.Ref, to task.Row) (bool, error) {
	if m.dead.Load() {
		return false, errDead
	}
	return m.Store.Move(ctx, ref, to)
}

func (m mortalStore) MoveMany(ctx context.Context, moves []task.Move) ([]bool, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Store.MoveMany(ctx, moves)
}

func (m mortalStore) SwapRecord(ctx context.Context, name, old, to string) (bool, error) {
	if m.dead.Load() {
		return false, errDead
	}
	return m.Store.SwapRecord(ctx, name, old, to)
}

func (m mortalSet) Horizon(ctx context.Context, p int, f task.HorizonRequest) (task.PartitionStatus, error) {
	if m.dead.Load() {
		return task.PartitionStatus{}, errDead
	}
	return m.Set.Horizon(ctx, p, f)
}

func (m mortalSet) Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error) {
	if m.dead.Load() {
		return task.PartitionStatus{}, errDead
	}
	return m.Set.Feed(ctx, p, page)
}

func (m mortalSet) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Set.Add(ctx, p, a)
}

// Remove is not heard: the dead do not try again.
func (m mortalSet) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	if m.dead.Load() {
		return task.RemoveResult{}, fmt.Errorf("the process is dead: %w", task.ErrClosed)
	}
	return m.Set.Remove(ctx, p, token, refs)
}

func (m mortalSet) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	return removeEach(ctx, m.Remove, p, held)
}

func (m mortalSet) Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error) {
	if m.dead.Load() {
		return task.Batch{}, errDead
	}
	return m.Set.Claim(ctx, p, req)
}

func (m mortalSet) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	if m.dead.Load() {
		return task.ExtendResult{}, errDead
	}
	return m.Set.Extend(ctx, p, h)
}

func (m mortalSet) Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.ReleaseOutcome, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Set.Release(ctx, p, r)
}

func (m mortalSet) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Set.Elect(ctx, holder, term, roles...)
}

// flushed is a hot set in memory that can be exchanged for an empty one. What is
// being watched stays so.
type flushed struct {
	hotset.Set
	now   atomic.Pointer[hotset.Set]
	told  atomic.Pointer[task.Expected]
	began [4]atomic.Int64 // when the generation of each partition did, ms
}

func (f *flushed) set() hotset.Set { return *f.now.Load() }

func (f *flushed) Clock(ctx context.Context, p int) (task.AsOf, error) { return f.set().Clock(ctx, p) }

// Expect tells the present set, and those after it.
func (f *flushed) Expect(e task.Expected) error {
	f.told.Store(&e)
	return f.set().Expect(e)
}

// Horizon, as State, is of one server: it has lost its data.
func (f *flushed) Horizon(ctx context.Context, p int, w task.HorizonRequest) (task.PartitionStatus, error) {
	w.Server = ""
	s, err := f.set().Horizon(ctx, p, w)
	s.Server = "flushed"
	if s.New {
		f.began[p].Store(s.StartMS)
	}
	return s, err
}

// State tells, as a server does and a set in memory need not, since when the set has
// known of claims.
func (f *flushed) State(ctx context.Context, p int) (task.State, error) {
	s, err := f.set().State(ctx, p)
	if s.StartMS = s.AsOf.TimeUS / 1000; s.AsOf.Generation != 0 {
		s.StartMS = f.began[p].Load()
	}
	s.Server = "flushed"
	return s, err
}

func (f *flushed) Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error) {
	return f.set().Feed(ctx, p, page)
}
func (f *flushed) Add(ctx context.Context, p int, a task.AddRequest) ([]task.AddOutcome, error) {
	return f.set().Add(ctx, p, a)
}
func (f *flushed) Remove(ctx context.Context, p int, token string, refs []task.Ref) (task.RemoveResult, error) {
	return f.set().Remove(ctx, p, token, refs)
}
func (f *flushed) RemoveHeld(ctx context.Context, p int, held []task.Held) error {
	return f.set().RemoveHeld(ctx, p, held)
}
func (f *flushed) Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error) {
	return f.set().Claim(ctx, p, req)
}
func (f *flushed) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	return f.set().Extend(ctx, p, h)
}
func (f *flushed) Release(ctx context.Context, p int, r task.ReleaseRequest) ([]task.ReleaseOutcome, error) {
	return f.set().Release(ctx, p, r)
}
func (f *flushed) Find(ctx context.Context, p int, refs []task.Ref) ([]task.FindResult, error) {
	return f.set().Find(ctx, p, refs)
}
func (f *flushed) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error) {
	return f.set().Expired(ctx, p, limit, lease)
}
func (f *flushed) Elect(ctx context.Context, holder string, term time.Duration, roles ...task.Role) ([]task.Term, error) {
	return f.set().Elect(ctx, holder, term, roles...)
}

// short is a name that no other sequence has.
func short() string { return "m" + strings.ToLower(rand.Text()[:12]) }
