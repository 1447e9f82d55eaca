package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/internal/history"
)

// kind is a kind of fault. do does one of them, from beginning to end; the random
// numbers are its own.
type kind struct {
	own   bool     // it stops servers or needs an operator's rights, so they must be ours
	small bool     // it needs the database on a small file system: see mounts_linux.go
	calm  bool     // it comes in the rest after a round, alone
	on    []string // the topologies that it is for; none: a single MySQL and a single Redis
	do    func(st *stage, r *rand.Rand) error
}

// ha are the topologies in which a replica of Redis takes its master's place.
var ha = []string{"sentinel", "cluster"}

// kinds of faults, by name. A file each family: fault_*.go.
var kinds = map[string]kind{
	"kill":    {on: everywhere, do: killWorker},
	"stop":    {on: everywhere, do: stopWorker},
	"drain":   {on: everywhere, do: drainWorker},
	"rolling": {on: everywhere, calm: true, do: rollingRestarts},
	"clock":   {on: everywhere, do: shiftClock},
	"pause":   {on: everywhere, do: pauseNamespace},

	"flushall":      {do: flushAll},
	"scriptflush":   {do: scriptFlush},
	"delkey":        {do: deleteKey},
	"clientkill":    {do: clientKill},
	"clientpause":   {do: clientPause},
	"oom":           {do: outOfMemory},
	"redisempty":    {own: true, do: redisEmpty},
	"redisold":      {own: true, do: redisOld},
	"promote":       {own: true, do: promoteReplica},
	"tworedis":      {own: true, do: twoRedis},
	"mysqlkill":     {own: true, do: mysqlKill},
	"mysqlreadonly": {do: mysqlReadOnly},
	"deadlock":      {do: deadlocks},
	"mysqloffline":  {own: true, do: mysqlOffline},
	"metadatalock":  {own: true, do: metadataLock},
	"diskfull":      {own: true, small: true, do: fullDisk},

	"masterkill":  {on: ha, own: true, do: masterKill},
	"masterpause": {on: ha, own: true, do: masterPause},
	"failover":    {on: ha, own: true, do: orderedFailover},
	"sentinel":    {on: []string{"sentinel"}, own: true, do: sentinelKill},
	"twomasters":  {on: []string{"sentinel"}, own: true, do: twoMasters},
	"slotmove":    {on: []string{"cluster"}, own: true, do: slotMove},

	"groupkill":  {own: true, on: []string{"group"}, do: groupKill},
	"minority":   {own: true, on: []string{"group"}, do: groupMinority},
	"grouppause": {own: true, on: []string{"group"}, do: groupPause},
	"behind":     {own: true, on: []string{"group"}, do: groupBehind},

	"latereply":   {do: lateReplies},
	"laterequest": {do: lateRequests},
	"cut":         {on: everywhere, do: cutConnections},
	"delay":       {on: everywhere, do: delayConnections},
	"halfopen":    {on: everywhere, do: halfOpen},
	"slowlink":    {on: everywhere, do: slowLinks},
}

// choose returns the kinds that names stand for in a topology, in order.
func choose(names []string, topology string, own bool) ([]string, error) {
	var out []string
	for _, name := range names {
		k, known := kinds[name]
		switch {
		case name == "all":
			for name, k := range kinds {
				if k.has(topology) && (own || !k.own) {
					out = append(out, name)
				}
			}
		case name == "none":
		case !known:
			return nil, fmt.Errorf("no fault is called %q; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
		case !k.has(topology):
			return nil, fmt.Errorf("fault %q is not one of --topology %s", name, topology)
		case k.own && !own:
			return nil, fmt.Errorf("fault %q needs servers of its own, so no --mysql and --redis", name)
		default:
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// nemesis does faults until busy ends: all kinds in a random order, again and again,
// one, two or three at a time. After a round it rests for longer than the bound,
// so that lateness is judged also in a long run. The first round is whole, however
// long it takes, and a fault that has begun is ended.
func (st *stage) nemesis(ctx, busy context.Context) error {
	r := rand.New(rand.NewPCG(st.seed, 0))
	pause(ctx, 2*time.Second)
	for n := 0; (n == 0 || busy.Err() == nil) && ctx.Err() == nil && len(st.faults) > 0; n++ {
		over := func() bool { return n > 0 && busy.Err() != nil || ctx.Err() != nil }
		for _, some := range round(r, st.chosen(false)) {
			if over() {
				break
			}
			if err := st.together(some, r); err != nil {
				return err
			}
			pause(busy, time.Duration(r.Int64N(int64(time.Second))))
		}
		if err := st.lull(busy, r, over); err != nil {
			return err
		}
	}
	<-busy.Done()
	return nil
}

// chosen are the faults that come in a round, or those that come in the rest after it.
func (st *stage) chosen(calm bool) []string {
	return slices.DeleteFunc(slices.Clone(st.faults), func(name string) bool { return kinds[name].calm != calm })
}

// round puts faults in a random order, one, two or three at a time.
func round(r *rand.Rand, faults []string) (all [][]string) {
	deck := slices.Clone(faults)
	r.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
	for len(deck) > 0 {
		n := min(len(deck), 1+r.IntN(3))
		all, deck = append(all, deck[:n]), deck[n:]
	}
	return all
}

// lull is the rest after a round. At its beginning requests are held back which
// arrive when nothing else excuses what they do: soon, and after all tombstones of
// their time are gone. The faults that excuse no lateness come in it, one by one.
func (st *stage) lull(busy context.Context, r *rand.Rand, over func() bool) error {
	if slices.Contains(st.faults, "laterequest") {
		sl := st.anySlot(r)
		for _, wait := range []time.Duration{between(r, 3*time.Second, 5*time.Second), between(r, forgotten, forgotten+3*time.Second)} {
			if err := st.holdBack(sl, r, wait); err != nil {
				return err
			}
		}
	}
	rest := time.Now().Add(st.topology().bound + 15*time.Second)
	for _, name := range st.chosen(true) {
		if over() {
			break
		}
		if err := st.together([]string{name}, r); err != nil {
			return err
		}
	}
	pause(busy, time.Until(rest))
	return nil
}

// together does faults at once.
func (st *stage) together(names []string, r *rand.Rand) error {
	var all sync.WaitGroup
	errs := make([]error, len(names))
	for i, name := range names {
		own := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		all.Go(func() {
			if err := kinds[name].do(st, own); err != nil {
				errs[i] = fmt.Errorf("fault %s: %w", name, err)
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// hit records a fault from its beginning to its end.
func (st *stage) hit(e history.Event, do func() error) error {
	return st.hitEnd(e, func(*history.Event) error { return do() })
}

// hitEnd does so for a fault whose end has more to say.
func (st *stage) hitEnd(e history.Event, do func(end *history.Event) error) error {
	e.Op, e.Call = history.Fault, st.rec.Call()
	st.rec.Write(e)
	err := do(&e)
	e.End, e.Result = true, history.OK
	if err != nil {
		e.Error = err.Error()
	}
	st.rec.Write(e)
	return err
}

// between is a random time.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

// anySlot is a random place.
func (st *stage) anySlot(r *rand.Rand) *slot { return st.slots[r.IntN(len(st.slots))] }

// hold waits in a fault; faults are short and end also if the run does.
func hold(d time.Duration) { pause(context.Background(), d) }
