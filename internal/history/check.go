package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Rules by which a history is judged. Each is told by the act that broke it.
const (
	Early       = "early"           // a delivery before its due time, or before a rollback's delay was over
	Lost        = "lost"            // a task that was neither delivered and finished nor deleted
	Ghost       = "ghost"           // a delivery begun after a Delete or Reschedule that rules it out had returned
	AfterDone   = "after confirm"   // a delivery claimed after the row's Confirm had returned nil
	Unexplained = "unexplained"     // a second delivery without one of the causes that the promises name
	Stale       = "stale"           // a delivery whose claim was answered after its lease was over
	Untrue      = "untrue"          // a Confirm or Delete that returned nil although the row was certainly gone before, or a Delete of what a handler had
	Overdue     = "overdue"         // a delivery later than Bound after its time and the last fault, or than Prompt in a fault that excuses no lateness
	GivenUp     = "given up"        // a Confirm that ended without an outcome although its process went on
	Inexact     = "not in the file" // a delivery of a task that was never created, or another payload, or a dead letter that was not buried
	Twice       = "twice"           // an effect in the transaction of a ConfirmTx that happened more than once
	Expired     = "expired"         // a delivery after Task.Expires
	Paused      = "paused"          // a claim while the namespace was paused
	Miscounted  = "miscounted"      // a delivery whose attempt does not follow from those before
)

// Limits are what the rules are relative to.
type Limits struct {
	Lease time.Duration // of a claim
	Bound time.Duration // how late a task may be once the last fault is over
	// Prompt is how late a task may be, once all other faults are over, within a fault
	// that excuses no lateness.
	Prompt time.Duration
	// Drain is within what time the hot set is told of what most transactions have changed.
	Drain time.Duration
	// Handed is how much later than a delivery its line may be.
	Handed time.Duration
	// MaxAttempts is after how many attempts a task dies.
	MaxAttempts int
}

// Violation is one broken promise.
type Violation struct {
	Rule string // the name of the promise
	ID   string // of the task
	At   int64  // when, unix microseconds
	Text string // what happened
}

// String says what was broken.
func (v Violation) String() string { return fmt.Sprintf("%s: %s: %s", v.Rule, v.ID, v.Text) }

// Verdict is what a history shows.
type Verdict struct {
	Began                       int64 // when the first line was written, unix microseconds
	Tasks, Delivered, Confirmed int   // tasks: all, those delivered, those confirmed
	Deliveries                  int   // of all tasks
	// Duplicates are second and later deliveries of what was created or
	// rescheduled once.
	Duplicates int
	Causes     map[string]int // duplicates by cause
	Broken     map[string]int // violations by rule
	Violations []Violation    // in the order of the history
	LateP50    time.Duration  // lateness of first deliveries: the median
	LateP99    time.Duration  // the 99th percentile
	LateMax    time.Duration  // the greatest
	Faults     map[string]int // by kind
	Variants   map[string]int // by kind and variant
	Dead       int            // tasks that were dead letters at least once
	Committed  int            // acts in transactions of callers that committed
	Aborted    int            // and in those that did not
	// Upserts are the outcomes of upserts that are known.
	Upserts map[Result]int
	// TxLateP50 and TxLateP99 are how much later than their transactions committed those tasks came that were due then.
	TxLateP50, TxLateP99 time.Duration
	// TxExposed is how many tasks transactions took from the hot set some time before they were due, TxStale how many
	// of them were claimed all the same.
	TxExposed, TxStale int
	Starved            int // how often the machine did not let a process run
	// Worst is how late a delivery was at most, by the kind of the fault that it
	// waited through or that came last before it, counted from the fault's end.
	Worst map[string]time.Duration
}

// Kept reports whether all promises were kept.
func (v *Verdict) Kept() bool { return len(v.Violations) == 0 }

// check is a judgement under way.
type check struct {
	*History
	Limits
	v      *Verdict
	late   []time.Duration
	drains drains
	calm   []int64 // by fault, in order: the latest end of it and those before it, except those that excuse no lateness
}

// Check judges the history by the promises of docs/design.md:
//
//   - never early (2), by the clock of the machine, which is the hot set's;
//   - never lost (1, 5): what was certainly created or rescheduled is delivered,
//     and confirmed or deleted in the end, and late by no more than Bound once the
//     last fault is over, by no more than Prompt in one that excuses no lateness;
//   - a Confirm goes on trying until it knows its outcome, as long as its process does;
//   - none is handed out whose claim was answered after its lease was over (2);
//   - one delivery while its lease lives (3): a second one follows only a lease
//     that ran out for a cause, a Rollback, a Redis that lost data, or an answer
//     whose outcome was unknown; none is claimed after the row's Confirm returned
//     nil, unless its lease had run out before or Redis had lost data;
//   - none begins after a Delete that returned nil, and none is claimed after one
//     that returned ErrClaimed (4), nor at the old time after a Reschedule; no Delete
//     returns nil while a handler has the task, under a lease that lives;
//   - a row is removed once: no Confirm or Delete returns nil after another that
//     did, nor a Confirm after a Reschedule;
//   - what a transaction of a caller changes is so if and only if it commits, what it
//     writes beside a ConfirmTx is written once, and the hot set soon learns of it;
//   - an upsert tells whether there was the task, and no payload is delivered that it
//     had replaced before;
//   - a task is delivered and confirmed, or deleted, or dead, and no version is two of
//     these; it dies for a reason that holds, is not claimed after that, and its dead letter is
//     there until it is requeued; each failure counts as an attempt, and no snooze does;
//   - no handler sees a task that has expired;
//   - nothing is claimed between the answer of a Pause and its Resume.
func (h *History) Check(l Limits) *Verdict {
	c := &check{History: h, Limits: l, v: &Verdict{Causes: map[string]int{}, Broken: map[string]int{}, Faults: map[string]int{},
		Variants: map[string]int{}, Upserts: map[Result]int{}, Worst: map[string]time.Duration{}, Began: h.began}}
	var end int64
	for _, f := range h.faults {
		c.count(f)
		if !f.prompt {
			end = max(end, f.end)
		}
		c.calm = append(c.calm, end)
	}
	for _, id := range slices.Sorted(maps.Keys(h.tasks)) {
		c.task(h.tasks[id])
	}
	slices.Sort(c.late)
	if n := len(c.late); n > 0 {
		c.v.LateP50, c.v.LateP99, c.v.LateMax = c.late[(n-1)/2], c.late[(n-1)*99/100], c.late[n-1]
	}
	c.judgeDrains()
	slices.SortStableFunc(c.v.Violations, func(a, b Violation) int { return cmp.Compare(a.At, b.At) })
	return c.v
}

func (c *check) count(f *fault) {
	if f.kind == Starved {
		c.v.Starved++
		return
	}
	c.v.Faults[f.kind]++
	if f.variant != "" {
		c.v.Variants[f.kind+" "+f.variant]++
	}
}

func (c *check) task(s *story) {
	c.countTask(s)
	c.lost(s)
	c.untrue(s)
	c.once(s)
	c.transaction(s)
	c.toldOf(s)
	c.buried(s)
	c.letter(s)
	c.oneEnd(s)
	c.inPause(s)
	for i, d := range s.got {
		c.early(s, d)
		c.stale(s, d)
		c.deleted(s, d)
		c.rescheduled(s, d)
		c.givenUp(s, d)
		c.inHand(s, d)
		c.settledTx(s, d)
		c.paid(s, d)
		c.expired(s, d)
		var last *delivery
		for _, p := range s.got[:i] {
			if p.dueMS == d.dueMS {
				c.done(s, p, d)
				c.again(s, p, d)
				last = p
			}
		}
		c.counted(s, last, d)
		c.duplicate(s, last, d)
		c.lateness(s, last, d)
	}
}

func (c *check) countTask(s *story) {
	if slices.ContainsFunc(s.acts, (*act).creates) {
		c.v.Tasks++
	}
	if slices.ContainsFunc(s.acts, func(a *act) bool { return a.op == Bury && a.did() }) {
		c.v.Dead++
	}
	for _, a := range s.acts {
		if a.op == Upsert && a.result != Unknown {
			c.v.Upserts[a.result]++
		}
	}
	if len(s.got) > 0 {
		c.v.Delivered++
	}
	c.v.Deliveries += len(s.got)
	if s.confirmed() {
		c.v.Confirmed++
	}
}

func (c *check) broke(rule string, s *story, at int64, format string, args ...any) {
	c.v.Broken[rule]++
	c.v.Violations = append(c.v.Violations, Violation{Rule: rule, ID: s.id, At: at, Text: fmt.Sprintf(format, args...)})
}

func (s *story) confirmed() bool {
	return slices.ContainsFunc(s.got, func(d *delivery) bool {
		return slices.ContainsFunc(d.answers, func(a *act) bool { return (a.op == Confirm || a.op == ConfirmTx) && a.result == OK })
	})
}
