package hotset

import (
	"cmp"
	"context"
	"embed"

	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/task"
)

//go:embed lua/*.lua
var files embed.FS

// chunk is the most members that one call of a script takes: unpack overflows beyond some
// thousands, and a script must be short. A call that carries payloads has at most
// task.MostBytes too, except a call with a single member.
const chunk = 1000

// entryBytes is how many bytes of a call an entry takes at most, without its id, headers and payload: its
// version, four numbers, its due time once more, and the protocol's bytes around them.
const entryBytes = 128

// callSize returns how many of entries go in the next call.
func callSize(entries []task.Entry) int {
	sum := 0
	for i, e := range entries {
		sum += len(e.ID) + entryBytes
		if !e.External {
			sum += len(e.Headers) + len(e.Payload)
		}
		if i == chunk || i > 0 && sum > task.MostBytes {
			return i
		}
	}
	return len(entries)
}

// MaxPartitions is the most partitions that a namespace may have.
const MaxPartitions = 256

// Options of NewRedis.
type Options struct {
	// Namespace is the prefix of the keys, task.DefaultNamespace if empty.
	Namespace string
	// Partitions, 1 to MaxPartitions, 1 if zero. It is recorded at the first
	// Migrate and cannot be changed after that.
	Partitions int
}

// Redis is the Set for production: Redis 6.2 or later or Valkey, standalone, with
// Sentinel, or a Cluster. It uses no command newer than 6.2.
type Redis struct {
	rdb     redis.UniversalClient
	single  bool                 // rdb is the client of one server
	cluster *redis.ClusterClient // that rdb is, if it is one
	gate    *gate
	config  Config
	keys    []keys
	scripts map[string]*redis.Script
	doubted chan struct{} // has an element once the server of a subscription may be gone
	moved   chan struct{} // has an element once another server may have the current generation

	mu        sync.Mutex
	expected  expectation
	seen      []sighting  // by partition
	reach     []reach     // the same
	orphansAt []time.Time // the same: when orphans were looked for last
	eased     []easing    // the same
}

// reach is the horizon that the last add answered, and about when.
type reach struct {
	ms int64
	at time.Time
}

// sighting is the moment of a partition that the last reply had.
type sighting struct {
	asOf task.AsOf
	at   time.Time // before the call was sent, by the local monotonic clock
}

// NewRedis returns the Set of a namespace. It does no I/O and starts nothing. The caller
// that opened rdb closes it. The client may retry calls by itself, because each script may
// be run again. The error matches task.ErrInvalid.
func NewRedis(rdb redis.UniversalClient, o Options) (*Redis, error) {
	if o.Namespace == "" {
		o.Namespace = task.DefaultNamespace
	}
	if o.Partitions == 0 {
		o.Partitions = 1
	}
	err := errors.Join(checkClient(rdb), task.CheckNamespace(o.Namespace))
	if o.Partitions < 1 || o.Partitions > MaxPartitions {
		err = errors.Join(err, fmt.Errorf("%w: %d partitions, 1 to %d are allowed", task.ErrInvalid, o.Partitions, MaxPartitions))
	}
	if err != nil {
		return nil, fmt.Errorf("new Redis set: %w", err)
	}
	r := &Redis{rdb: rdb, config: Config{Namespace: o.Namespace, Partitions: o.Partitions}, seen: make([]sighting, o.Partitions), reach: make([]reach, o.Partitions),
		orphansAt: make([]time.Time, o.Partitions), eased: make([]easing, o.Partitions)}
	r.single = holds[plain](rdb) && !holds[*redis.ClusterClient](rdb)
	r.cluster, _ = find[*redis.ClusterClient](rdb)
	r.gate = newGate(connections(rdb))
	r.doubted, r.moved = make(chan struct{}, 1), make(chan struct{}, 1)
	for p := range o.Partitions {
		r.keys = append(r.keys, makeKeys(o.Namespace, p))
	}
	r.scripts, err = loadScripts()
	return r, err
}

// Config implements Set.
func (r *Redis) Config() Config { return r.config }

// Clock implements Set.
func (r *Redis) Clock(ctx context.Context, p int) (task.AsOf, error) {
	r.mu.Lock()
	s, isCurrent := r.seen[p], r.expected.isCurrent(p)
	r.mu.Unlock()
	if s.asOf.Generation != 0 && isCurrent(s.asOf.Generation) && time.Since(s.at) < task.TombstoneTTL/2 {
		return s.asOf, nil
	}
	a, err := r.run(ctx, p, "clock", nil)
	return a.asOf, err
}

// State implements Set.
func (r *Redis) State(ctx context.Context, p int) (task.State, error) {
	a, err := r.run(ctx, p, "state", nil)
	if err != nil {
		return task.State{}, err
	}
	s := task.State{AsOf: a.asOf, HorizonMS: a.int(), Loaded: task.Cursor{NextMS: a.int(), ID: a.str()}}
	s.Waiting, s.Due = a.int(), a.int()
	s.Claimed = max(0, a.int()-s.Waiting)
	s.OldestMS, s.StartMS = a.int(), a.int()/1000
	refused := refuse(a.str(), a.str())
	s.Server, s.Other = a.str(), a.int() == 1
	return s, errors.Join(refused, a.err)
}

// Waiting implements Set.
func (r *Redis) Waiting(ctx context.Context, p int, belowMS ...int64) (task.WaitingCounts, error) {
	if err := task.CheckTimes(belowMS); err != nil {
		return task.WaitingCounts{}, fmt.Errorf("waiting in partition %d: %w", p, err)
	}
	args := make([]any, len(belowMS))
	for i, ms := range belowMS {
		args[i] = ms
	}
	a, err := r.run(ctx, p, "waiting", nil, args...)
	if err != nil {
		return task.WaitingCounts{}, err
	}
	c := task.WaitingCounts{AsOf: a.asOf, Loaded: task.Cursor{NextMS: a.int(), ID: a.str()}, Counts: make([]int64, len(belowMS))}
	for i := range c.Counts {
		c.Counts[i] = a.int()
	}
	return c, a.err
}

// Feed implements Set.
func (r *Redis) Feed(ctx context.Context, p int, page task.FeedRequest) (task.PartitionStatus, error) {
	rest, taken := page.Entries, 0
	for {
		part := rest[:callSize(rest)]
		rest = rest[len(part):]
		loaded := page.Loaded
		if len(rest) > 0 {
			loaded = task.Cursor{NextMS: -1}
		}
		args := []any{page.AsOf.Generation, page.AsOf.TimeUS, page.Epoch, loaded.NextMS, loaded.ID}
		a, err := r.run(ctx, p, "feed", nil, appendEntries(args, part)...)
		if err != nil {
			return task.PartitionStatus{}, err
		}
		s := a.status()
		taken += int(a.int())
		if s.Taken = taken; len(rest) == 0 || a.err != nil {
			return s, a.err
		}
	}
}

// Add implements Set.
func (r *Redis) Add(ctx context.Context, p int, add task.AddRequest) ([]task.AddOutcome, error) {
	var all []task.AddOutcome
	for rest := add.Entries; len(rest) > 0; {
		part := rest[:callSize(rest)]
		rest = rest[len(part):]
		some, err := r.addPart(ctx, p, add, part)
		if all = append(all, some...); err != nil {
			return all, err
		}
	}
	return all, nil
}

func (r *Redis) addPart(ctx context.Context, p int, add task.AddRequest, part []task.Entry) ([]task.AddOutcome, error) {
	args := []any{add.AsOf.Generation, add.AsOf.TimeUS}
	if add.Token != "" {
		args = append(args, add.Token, add.Lease.Milliseconds())
		a, err := r.run(ctx, p, "register", r.batches(p, []string{add.Token}), appendEntries(args, part)...)
		if err != nil {
			return nil, err
		}
		return outcomes(a, len(part), registerOutcome), a.err
	}
	first := slices.MinFunc(part, func(a, b task.Entry) int { return cmp.Compare(a.NextMS, b.NextMS) }).NextMS
	if r.farFrom(p, first) {
		a, err := r.run(ctx, p, "add", nil, args...)
		if err != nil {
			return nil, err
		}
		if r.sawHorizon(p, a.int()) <= first || a.err != nil {
			return slices.Repeat([]task.AddOutcome{task.AddBeyond}, len(part)), a.err
		}
	}
	a, err := r.run(ctx, p, "add", nil, appendEntries(args, part)...)
	if err != nil {
		return nil, err
	}
	r.sawHorizon(p, a.int())
	return outcomes(a, len(part), addOutcome), a.err
}

// margin: a due time is far if it is later than the horizon that was seen last, plus the time
// since, plus this margin. A feeder's rounds raise the horizon in steps of up to 5 s.
const margin = 10 * time.Second

// farFrom reports whether addPart should ask for the horizon first, with a call of its own: if it is
// still at or below that due time, no entry needs to be sent.
func (r *Redis) farFrom(p int, nextMS int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.reach[p]
	return h.ms > 0 && nextMS > h.ms+(time.Since(h.at)+margin).Milliseconds()
}

// sawHorizon notes a partition's horizon, and returns it.
func (r *Redis) sawHorizon(p int, ms int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reach[p] = reach{ms, time.Now()}
	return ms
}

// Release implements Set.
func (r *Redis) Release(ctx context.Context, p int, rel task.ReleaseRequest) ([]task.ReleaseOutcome, error) {
	delay := max(0, rel.Delay.Milliseconds())
	if rel.Delay > 0 && rel.Delay%time.Millisecond > 0 {
		delay++ // never early
	}
	if rel.AtNext {
		delay = -max(1, rel.NotBeforeMS)
	}
	args := []any{rel.Token, delay, bit(rel.Counted), bit(rel.Expired), rel.AsOf.Generation, rel.AsOf.TimeUS}
	if len(rel.Refs) == 0 {
		_, err := r.run(ctx, p, "release", r.batches(p, []string{rel.Token}), args...)
		return nil, err
	}
	_, all, err := perMember(ctx, r, p, "release", rel.Token, rel.Refs, releaseOutcome, args...)
	return all, err
}

// perMember runs a script whose last arguments are members, and which has an outcome for each of them.
func perMember[T any](ctx context.Context, r *Redis, p int, verb, token string, refs []task.Ref, of func(code int64) (T, bool), args ...any) (asOf task.AsOf, all []T, err error) {
	for start := 0; start < len(refs); start += chunk {
		part := refs[start:min(start+chunk, len(refs))]
		a, err := r.run(ctx, p, verb, r.batches(p, []string{token}), appendMembers(args, part)...)
		if err != nil {
			return asOf, all, err
		}
		asOf = a.asOf
		if all = append(all, outcomes(a, len(part), of)...); a.err != nil {
			return asOf, all, a.err
		}
	}
	return asOf, all, nil
}

// Extend implements Set.
func (r *Redis) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	var e task.ExtendResult
	tokens, refs := h.Tokens, h.Refs
	for asked := false; !asked || len(tokens) > 0 || len(refs) > 0; asked = true {
		ts, rs := tokens[:min(chunk, len(tokens))], refs[:min(chunk, len(refs))]
		tokens, refs = tokens[len(ts):], refs[len(rs):]
		args := []any{h.Generation, h.Lease.Milliseconds(), len(ts)}
		for _, t := range ts {
			args = append(args, t)
		}
		a, err := r.run(ctx, p, "extend", nil, appendMembers(args, rs)...)
		if err != nil {
			return e, err
		}
		e.AsOf = a.asOf
		for _, i := range a.indices(len(ts)) {
			e.Lost = append(e.Lost, ts[i])
		}
		for _, i := range a.indices(len(rs)) {
			e.Gone = append(e.Gone, rs[i])
		}
		if a.err != nil {
			return e, a.err
		}
	}
	return e, nil
}

// Expired implements Set.
func (r *Redis) Expired(ctx context.Context, p int, limit int, lease time.Duration) ([]task.ExpiredBatch, error) {
	a, err := r.run(ctx, p, "leases", nil, max(0, min(limit, chunk)), lease.Milliseconds(), 0)
	if errors.Is(err, task.ErrCold) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []task.ExpiredBatch
	for _, token := range a.strs() {
		members, err := await(ctx, r.gate, true, func() ([]string, error) { return r.rdb.SMembers(ctx, r.keys[p].batch(token)).Result() })
		if err != nil {
			return all, r.typed("read batch", p, err)
		}
		b := task.ExpiredBatch{Token: token}
		for _, m := range members {
			ref, err := parseMember(m)
			if err != nil {
				return all, fmt.Errorf("read batch of partition %d: %w", p, err)
			}
			b.Refs = append(b.Refs, ref)
		}
		all = append(all, b)
	}
	return all, a.err
}
