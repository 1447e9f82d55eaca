package consumer

import (
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/internal/wait"
	"github.com/triggerhook/triggerhook/task"
)

// one returns a Consumer on a set that has a single member, which is claimed.
func one(t *testing.T, o Options) (*Consumer, *local.Set, *batch) {
	t.Helper()
	set, err := local.New(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := set.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 50, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: []task.Entry{{Ref: task.Ref{ID: "a", Ver: 1}, NextMS: 1}}}); err != nil {
		t.Fatal(err)
	}
	o.Lease, o.Report = time.Minute, &report.Reporter{}
	c := New(set, nil, o)
	got, err := set.Claim(t.Context(), 0, c.request(0, "t", 1, 0))
	if err != nil || len(got.Claims) != 1 {
		t.Fatalf("claimed %+v, %v", got, err)
	}
	b := c.addBatch(0, got, time.Now(), time.Now())
	b.timer.Stop()
	return c, set, b
}

// What was claimed before the end of a pause that is known is not handed out, but given back; what was claimed after it is.
func TestWhatWasClaimedBeforeAPauseIsNotHandedOut(t *testing.T) {
	var read task.Pause
	c, _, b := one(t, Options{Pause: func() task.Pause { return read }})
	for _, step := range []struct {
		when   string
		read   task.Pause
		handed bool
	}{
		{"a pause was read", task.Pause{Seq: 1, UntilMS: task.MaxDue}, false},
		{"an older record was read", task.Pause{}, false},
		{"the pause ends later than the claim", task.Pause{Seq: 2, UntilMS: b.claimedMS + 1}, false},
		{"the pause ended with the claim", task.Pause{Seq: 3, UntilMS: b.claimedMS}, true},
	} {
		read = step.read
		handed, suspended := c.hand(b.members[0])
		if handed != step.handed || suspended == step.handed {
			t.Errorf("%s: handed out: %t, to be given back: %t; want %t, %t", step.when, handed, suspended, step.handed, !step.handed)
		}
	}
}

// The queue goes back as soon as the pause is known, without an attempt counted.
func TestAQueueIsGivenBackInAPause(t *testing.T) {
	c, set, b := one(t, Options{})
	c.enqueueAll(b.members)
	c.notePause(t.Context(), task.Pause{Seq: 1, UntilMS: b.claimedMS})
	if n := c.queue.len(); n != 1 {
		t.Errorf("%d tasks are queued after a pause that is over, want 1", n)
	}
	c.notePause(t.Context(), task.Pause{Seq: 2, UntilMS: task.MaxDue})
	found, err := set.Find(t.Context(), 0, []task.Ref{{ID: "a", Ver: 1}})
	if err != nil || found[0] != (task.FindResult{Outcome: task.FindWaiting, NextMS: 1}) || c.queue.len() != 0 || len(c.batches) != 0 {
		t.Errorf("after a pause the task is %+v, %v, and %d are queued in %d batches; want that it waits as before", found, err, c.queue.len(), len(c.batches))
	}
}

// So does what was claimed ahead, except what was claimed after the end of the pause.
func TestWhatWasClaimedAheadIsGivenBackInAPause(t *testing.T) {
	c, set, _ := one(t, Options{Ahead: task.MaxAhead})
	c.future.alarm = wait.NewTimerAlarm()
	defer c.future.alarm.Close()
	soon := task.Entry{Ref: task.Ref{ID: "soon", Ver: 1}, NextMS: time.Now().Add(task.MaxAhead - time.Millisecond).UnixMilli()}
	asOf, err := set.Clock(t.Context(), 0)
	if err == nil {
		_, err = set.Add(t.Context(), 0, task.AddRequest{AsOf: asOf, Entries: []task.Entry{soon}})
	}
	got, e := set.Claim(t.Context(), 0, task.ClaimRequest{Token: "ahead", Limit: 1, Lease: time.Minute, Ahead: task.MaxAhead, AheadLimit: 1})
	if err != nil || e != nil || len(got.Claims) != 1 {
		t.Fatalf("claimed ahead %+v, %v, %v", got, err, e)
	}
	b := c.addBatch(0, got, time.Now(), time.Now())
	b.timer.Stop()
	b.answered = b.answered.Add(time.Hour) // it is not due while the test runs
	c.enqueueAll(b.members)
	c.notePause(t.Context(), task.Pause{Seq: 1, UntilMS: b.claimedMS})
	if len(c.future.tasks) != 1 || c.Figures().Queued != 1 {
		t.Fatalf("%d tasks are aside, and %d queued, after a pause that is over; want the one", len(c.future.tasks), c.Figures().Queued)
	}
	c.notePause(t.Context(), task.Pause{Seq: 2, UntilMS: task.MaxDue})
	found, err := set.Find(t.Context(), 0, []task.Ref{soon.Ref})
	if err != nil || found[0] != (task.FindResult{Outcome: task.FindWaiting, NextMS: soon.NextMS}) || len(c.future.tasks) != 0 {
		t.Errorf("after a pause the task is %+v, %v; want that it waits as before", found, err)
	}
}

// Time in which nothing was claimed counts for a second, or for one task if that is more.
func TestUnusedTimeCountsForASecond(t *testing.T) {
	start := time.Now()
	for rate, want := range map[float64]int{0.5: 1, 1: 1, 10: 10, 1e6: 1_000_000} {
		l := newPace(rate)
		if got := l.allow(2_000_000, start.Add(time.Hour)); got != want {
			t.Errorf("at %v a second %d tasks are allowed after an hour, want %d", rate, got, want)
		}
		l.take(want)
		if got := l.allow(2_000_000, start.Add(time.Hour)); got != 0 || !l.next(0).After(start.Add(time.Hour)) {
			t.Errorf("at %v a second %d more are allowed at once, the next at %s; want none", rate, got, l.next(0).Sub(start))
		}
		if got := l.allow(2_000_000, l.next(0)); got != 1 {
			t.Errorf("at %v a second %d are allowed when the next one is, want 1", rate, got)
		}
	}
	if l := newPace(0); l.allow(7, start) != 7 {
		t.Error("without a rate not all are allowed")
	}
}

// A claim that has no answer may have taken a batch, which its repetition returns: it counts once.
func TestAClaimWithoutAnAnswerCounts(t *testing.T) {
	l := claimer{unanswered: make([]int, 2), pace: newPace(10)}
	now := time.Now()
	left := func(want int) {
		t.Helper()
		if got := l.pace.allow(100, now); got != want {
			t.Errorf("%d tasks are allowed, want %d", got, want)
		}
	}
	left(10)
	l.count(0, 6, 0, false)
	left(4)
	l.count(0, 6, 0, false) // its repetition
	left(4)
	l.count(1, 4, 3, true)
	left(1)
	l.count(0, 6, 5, true) // the batch had 5
	left(2)
}
