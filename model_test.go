package triggerhook_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// Random sequences of what users do and what befalls their processes, against the
// promises. A task that was created and neither deleted nor confirmed fires, and not early. A
// task that was deleted does not fire. No two workers hold one task.
//
// In a bubble each sequence has minutes. On real servers it has a second or so, so
// there a twentieth of the sequences has to do.
func TestModel(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("bolt+local/p%d", partitions), func(t *testing.T) {
			dir := t.TempDir()
			rapid.Check(t, func(rt *rapid.T) {
				rapid.SyncTest(rt, func(rt *rapid.T) { runModel(rt, embeddedWorld(rt, dir, partitions)) })
			})
		})
		t.Run(fmt.Sprintf("mysql97+redis7/p%d", partitions), func(t *testing.T) {
			fewer(t, 20)
			db := testserver.Shared(t, testserver.MySQL).DB(t, "interpolateParams=true")
			rdb := redis.NewClient(&redis.Options{Addr: testserver.Shared(t, testserver.Redis).Addr})
			t.Cleanup(func() { rdb.Close() })
			rapid.Check(t, func(rt *rapid.T) {
				ns := short()
				store, err := durable.NewMySQL(db, durable.Options{Namespace: ns})
				if err != nil {
					rt.Fatal(err)
				}
				set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: ns, Partitions: partitions})
				if err != nil {
					rt.Fatal(err)
				}
				runModel(rt, serverWorld(store, set, rdb))
			})
		})
	}
}

// fewer divides the number of sequences of a test.
func fewer(t *testing.T, by int) {
	f := flag.Lookup("rapid.checks")
	all := f.Value.String()
	n, err := strconv.Atoi(all)
	if err != nil {
		t.Fatal(err)
	}
	set := func(n string) {
		if err := flag.Set(f.Name, n); err != nil {
			t.Fatal(err)
		}
	}
	set(strconv.Itoa(max(1, n/by)))
	t.Cleanup(func() { set(all) })
}

// schedulerModel is what is promised of a namespace.
type schedulerModel struct {
	*modelWorld
	o     triggerhook.Options
	p     *process
	tasks map[string]*modelTask
	hands []*hand
}

// modelTask is a task that was created under one ID, or several one after another.
type modelTask struct {
	live    bool
	due     time.Time
	payload []byte
	from    time.Time // not offered before
	by      time.Time // and no later, unless a fault befalls it
	backs   int       // rollbacks since it was created
	plain   bool      // nothing but rollbacks befell it since
	flushed bool      // the hot set was lost since: no process knows which worker had claimed it
	moved   bool      // the row may name a previous version
	marked  bool      // some version of it, of this life or an earlier one, may have been claimed as it was removed
	hand    *hand     // the worker that has it
	// stale counts deliveries of older versions that may still come, by their due
	// times: a worker may have claimed them before.
	stale map[int64]int
}

// hand is a delivery that was not answered yet.
type hand struct {
	*triggerhook.Delivery
	current bool // it is of the version that stands
}

func runModel(rt *rapid.T, w *modelWorld) {
	m := &schedulerModel{modelWorld: w, tasks: map[string]*modelTask{}}
	m.o.HotTasks = rapid.SampledFrom([]int{0, 2}).Draw(rt, "hot tasks")
	m.o.InlinePayload = rapid.SampledFrom([]int{0, 3}).Draw(rt, "inline payload")
	m.p = w.start(rt, m.o)
	defer func() {
		if m.p != nil { // a step failed
			m.p.end(rt, true)
		}
	}()
	rt.Repeat(map[string]func(*rapid.T){
		"create": m.create, "delete": m.delete, "reschedule": m.reschedule, "get": m.get,
		"consume": m.consume, "consume again": m.consume, "confirm": m.confirm, "rollback": m.rollback, "pass": m.passTime,
		"restart": m.restart, "flush": m.loseHotSet,
	})
	m.finish(rt)
}

func (m *schedulerModel) id(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "d", "é ", "{e}"}).Draw(rt, "id")
}

func (m *schedulerModel) task(id string) *modelTask {
	if m.tasks[id] == nil {
		m.tasks[id] = &modelTask{stale: map[int64]int{}}
	}
	return m.tasks[id]
}

// due draws a time that no version of the task had before, in whole milliseconds.
func (m *schedulerModel) due(rt *rapid.T, t *modelTask) time.Time {
	return m.fresh(time.Now().Add(rapid.SampledFrom(m.dues).Draw(rt, "due")), t)
}

func (m *schedulerModel) fresh(due time.Time, t *modelTask) time.Time {
	due = due.Truncate(time.Millisecond)
	for {
		if _, was := t.stale[due.UnixMilli()]; !was && !due.Equal(t.due) {
			return due
		}
		due = due.Add(time.Millisecond)
	}
}

func (m *schedulerModel) create(rt *rapid.T) {
	ids := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "é ", "{e}"}), 1, 3, rapid.ID[string]).Draw(rt, "ids")
	var all []*triggerhook.Task
	var exist []string
	for _, id := range ids {
		n := rapid.SampledFrom([]int{0, 1, 3, 4, 1025}).Draw(rt, "payload bytes")
		all = append(all, &triggerhook.Task{ID: id, Due: m.due(rt, m.task(id)), Payload: bytes.Repeat([]byte(id), n)[:n]})
		if m.task(id).live {
			exist = append(exist, id)
		}
	}
	err := m.p.Create(rt.Context(), all...)
	var ide *triggerhook.IDError
	if len(exist) > 0 {
		slices.Sort(exist)
		if errors.As(err, &ide) {
			slices.Sort(ide.Exists)
		}
		if ide == nil || !slices.Equal(ide.Exists, exist) {
			rt.Fatalf("Create of %q: %v, want ErrExists for %q", ids, err, exist)
		}
		return
	}
	if err != nil {
		rt.Fatalf("Create of %q: %v", ids, err)
	}
	for _, x := range all {
		t := m.task(x.ID)
		t.stands(x.Due)
		t.payload = x.Payload
	}
}

// rival reports whether the row of t may have a version that no hand has: after a
// flush two may have had the task, and one of them rolled it back, far.
func (t *modelTask) rival() bool { return t.flushed && t.backs > 0 }

// stands notes a new version of t.
func (t *modelTask) stands(due time.Time) {
	t.live, t.due, t.from, t.by, t.hand, t.backs, t.plain, t.flushed = true, due, due, due, nil, 0, true, false
	t.moved = false
}

// outdate notes that the version of t that stands is no more. One delivery of it
// may still come if it may have been claimed, unless it came before.
func (t *modelTask) outdate(claimed bool) {
	t.stale[t.due.UnixMilli()] = 0
	if t.hand != nil {
		t.hand.current = false
	}
	t.marked = t.marked || claimed || t.hand != nil
	if claimed && (t.hand == nil || t.flushed) { // after a flush two may have it
		t.stale[t.due.UnixMilli()] = 1
	}
	t.live, t.hand = false, nil
}

func (m *schedulerModel) delete(rt *rapid.T) {
	id := m.id(rt)
	t := m.task(id)
	waits, held := time.Until(t.from) > task.MaxAhead, t.hand != nil // what is due sooner may be claimed ahead
	// For one lease after a loss of data, as at the beginning, no process can know what was
	// claimed before: a task that was due, or that had another version.
	unsure := m.young(rt, id) && (t.moved || time.Until(t.from) < 2*time.Second)
	err := m.p.Delete(rt.Context(), id)
	switch {
	case !t.live && errors.Is(err, triggerhook.ErrNotFound):
	case t.live && err == nil && !(held && t.plain):
		t.outdate(false)
		clear0(t.stale) // no version of it
	case t.live && errors.Is(err, triggerhook.ErrClaimed) && !(waits && !held && t.plain && !t.marked && !unsure):
		t.outdate(true)
	default:
		rt.Fatalf("Delete of %q: %v; it is there: %t, its time is to come: %t, in hand: %t, marked: %t, unsure: %t",
			id, err, t.live, waits, held, t.marked, unsure)
	}
}

// young reports whether the generation of id's partition is not older than a lease.
func (m *schedulerModel) young(rt *rapid.T, id string) bool {
	s, err := m.set.State(rt.Context(), task.Partition(id, m.set.Config().Partitions))
	if err != nil {
		rt.Fatal(err)
	}
	return s.AsOf.TimeUS/1000 <= s.StartMS+m.lease.Milliseconds()
}

func (m *schedulerModel) reschedule(rt *rapid.T) {
	id := m.id(rt)
	t := m.task(id)
	due := m.due(rt, t)
	err := m.p.Reschedule(rt.Context(), id, due)
	if !t.live {
		if !errors.Is(err, triggerhook.ErrNotFound) {
			rt.Fatalf("Reschedule of %q, which is gone: %v", id, err)
		}
		return
	}
	if err != nil {
		rt.Fatalf("Reschedule of %q: %v", id, err)
	}
	t.outdate(!t.from.After(time.Now()))
	t.stands(due)
	t.moved = true
}

func (m *schedulerModel) get(rt *rapid.T) {
	id := m.id(rt)
	t := m.task(id)
	waits := t.from.After(time.Now())
	info, err := m.p.Get(rt.Context(), id)
	switch {
	case !t.live:
		if !errors.Is(err, triggerhook.ErrNotFound) {
			rt.Fatalf("Get of %q, which is gone: %+v, %v", id, info, err)
		}
	case err != nil || info.ID != id || !info.Due.Equal(t.due) || !bytes.Equal(info.Payload, t.payload):
		rt.Fatalf("Get of %q: %+v, %v; want due %s and %d bytes", id, info, err, t.due, len(t.payload))
	case t.plain && (info.State == triggerhook.InFlight) != (t.hand != nil) && (t.hand != nil || waits):
		rt.Fatalf("Get of %q: state %d, in hand: %t", id, info.State, t.hand != nil)
	case t.plain && info.State != triggerhook.InFlight && info.Next.Add(time.Millisecond).Before(t.from) && waits:
		rt.Fatalf("Get of %q: next offered at %s, want %s", id, info.Next, t.from)
	}
}

func (m *schedulerModel) consume(rt *rapid.T) {
	ctx, cancel := context.WithTimeout(rt.Context(), rapid.SampledFrom(m.pass).Draw(rt, "for"))
	defer cancel()
	d, err := m.p.Consume(ctx)
	if err == nil {
		m.delivered(rt, d)
	} else if !errors.Is(err, context.DeadlineExceeded) {
		rt.Fatalf("Consume: %v", err)
	}
}

// delivered judges a delivery.
func (m *schedulerModel) delivered(rt *rapid.T, d *triggerhook.Delivery) {
	t, now := m.task(d.ID), time.Now()
	h := &hand{Delivery: d}
	m.hands = append(m.hands, h)
	if at := d.Due.UnixMilli(); !t.live || !d.Due.Equal(t.due) {
		if t.stale[at] == 0 {
			rt.Fatalf("%q due %s was delivered; it is there: %t, due %s", d.ID, d.Due, t.live, t.due)
		}
		t.stale[at]--
		return
	}
	h.current = true
	switch {
	case now.Before(t.from):
		rt.Fatalf("%q was delivered %s early", d.ID, t.from.Sub(now))
	case !bytes.Equal(d.Payload, t.payload):
		rt.Fatalf("%q was delivered with %d bytes, want %d", d.ID, len(d.Payload), len(t.payload))
	case t.hand != nil && t.plain:
		rt.Fatalf("%q was delivered while a worker has it", d.ID)
	case t.plain && d.Attempt != 1+t.backs:
		rt.Fatalf("%q was delivered as attempt %d after %d rollbacks", d.ID, d.Attempt, t.backs)
	}
	t.hand = h
}

// take draws a delivery to answer, if there is one.
func (m *schedulerModel) take(rt *rapid.T) *hand {
	if len(m.hands) == 0 {
		return nil
	}
	i := rapid.IntRange(0, len(m.hands)-1).Draw(rt, "hand")
	h := m.hands[i]
	m.hands = slices.Delete(m.hands, i, i+1)
	return h
}

func (m *schedulerModel) confirm(rt *rapid.T) {
	if h := m.take(rt); h != nil {
		m.confirmed(rt, h)
	}
}

func (m *schedulerModel) confirmed(rt *rapid.T, h *hand) {
	err := h.Confirm(rt.Context())
	t := m.task(h.ID)
	current := h.current && t.live && h.Due.Equal(t.due)
	if t.rival() && errors.Is(err, triggerhook.ErrGone) {
		current = false
	}
	if current && err != nil || !current && !errors.Is(err, triggerhook.ErrGone) {
		rt.Fatalf("Confirm of %q due %s: %v; its version stands: %t", h.ID, h.Due, err, current)
	}
	if again := h.Confirm(rt.Context()); !errors.Is(again, triggerhook.ErrSettled) {
		rt.Fatalf("second Confirm of %q: %v", h.ID, again)
	}
	if current {
		// A delivery of before a flush may be confirmed while another of it is in
		// hand, or waits in the queue.
		if t.hand == h {
			t.hand = nil
		}
		t.outdate(!t.plain)
	}
}

func (m *schedulerModel) rollback(rt *rapid.T) {
	h := m.take(rt)
	if h == nil {
		return
	}
	delay := rapid.SampledFrom(m.delays).Draw(rt, "delay")
	t, now := m.task(h.ID), time.Now()
	current := h.current && t.live && h.Due.Equal(t.due)
	err := h.Rollback(rt.Context(), delay)
	if t.rival() && errors.Is(err, triggerhook.ErrGone) {
		current = false
	}
	if current && err != nil || !current && err == nil && t.plain || err != nil && !errors.Is(err, triggerhook.ErrGone) {
		rt.Fatalf("Rollback of %q due %s: %v; its version stands: %t", h.ID, h.Due, err, current)
	}
	by := now.Add(max(0, delay))
	switch {
	case current && t.hand == h:
		t.backs++
		t.moved = true
		t.by = by
		if t.hand = nil; t.plain {
			t.from = t.by
		}
	case current && t.flushed: // another has it too, and its row may have moved
		t.backs++
		if by.After(t.by) {
			t.by = by
		}
	}
}

func (m *schedulerModel) passTime(rt *rapid.T) {
	<-time.After(rapid.SampledFrom(m.pass).Draw(rt, "time"))
}

// restart ends the process, killed or drained, and starts another.
func (m *schedulerModel) restart(rt *rapid.T) {
	kill := rapid.Bool().Draw(rt, "kill")
	m.p.end(rt, kill)
	m.p = m.start(rt, m.o)
	m.hands = nil
	for _, t := range m.tasks {
		t.hand, t.plain = nil, false
		clear0(t.stale)
	}
}

// clear0 notes that no worker has claimed an old version any more.
func clear0(stale map[int64]int) {
	for at := range stale {
		stale[at] = 0
	}
}

func (m *schedulerModel) loseHotSet(rt *rapid.T) {
	m.flush(rt)
	for _, t := range m.tasks {
		t.plain, t.flushed, t.from = false, true, t.due
	}
}

// finish lets all that is left fire, and looks at what is left then.
func (m *schedulerModel) finish(rt *rapid.T) {
	end := time.Now()
	for id, t := range m.tasks {
		if t.live && t.by.After(end.Add(10*time.Minute)) {
			due := m.fresh(end, t)
			if err := m.p.Reschedule(rt.Context(), id, due); err != nil {
				rt.Fatalf("Reschedule of %q: %v", id, err)
			}
			t.outdate(!t.from.After(end))
			t.stands(due)
		}
	}
	for _, t := range m.tasks {
		if t.live && t.by.After(end) {
			end = t.by
		}
	}
	for _, h := range m.hands {
		m.confirmed(rt, h)
	}
	m.hands = nil
	ctx, cancel := context.WithTimeout(rt.Context(), time.Until(end)+m.patient)
	defer cancel()
	for slices.ContainsFunc(m.all(), func(t *modelTask) bool { return t.live }) {
		d, err := m.p.Consume(ctx)
		if err != nil {
			for id, t := range m.tasks {
				if t.live {
					rt.Errorf("%q, due %s, not offered before %s, was not delivered until %s", id, t.due, t.from, time.Now())
				}
			}
			rt.FailNow()
		}
		m.delivered(rt, d)
		m.confirmed(rt, m.hands[len(m.hands)-1])
	}
	m.p.end(rt, false)
	m.p = nil
	if n, _, err := m.store.Count(rt.Context(), 10); n != 0 || err != nil {
		rt.Fatalf("%d rows are left, %v", n, err)
	}
}

func (m *schedulerModel) all() []*modelTask {
	var all []*modelTask
	for _, t := range m.tasks {
		all = append(all, t)
	}
	return all
}
