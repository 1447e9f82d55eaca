// Package history records what happened in a run of many processes, and judges
// it by the promises: see Check.
//
// A history is a file that all processes of the run append to, one JSON line an
// event: one unbuffered write before an act and one after it, so that what a
// killed process did counts. Times are the machine's clock, whatever the process
// believes the time to be.
//
// An act took effect at some moment between its two lines. One whose end is
// missing took effect at any moment after its beginning, or never; one that ended
// as Unknown did so no later than some seconds after that (doubt).
package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// Op is what an event is about.
type Op string

// The acts. Extend stands for all that renews leases. One with a Tx took effect when that transaction of a caller
// committed: its lines stand around the COMMIT.
const (
	Create     Op = "create"     // ID, DueMS, ExpiresMS, Pay, Tx; Result
	Reschedule Op = "reschedule" // ID, DueMS, Tx; Result
	Upsert     Op = "upsert"     // ID, DueMS, Pay, Conflict; Result
	Requeue    Op = "requeue"    // ID, DueMS: of a dead letter; Result
	Delete     Op = "delete"     // ID, Tx; Result
	Claim      Op = "claim"      // Token; at its end Members too; Result
	Extend     Op = "extend"     // Tokens; at its end those that were renewed; Result
	Deliver    Op = "deliver"    // ID, DueMS, Attempt, ExpiresMS, Pay; its end is the line of its answer
	Confirm    Op = "confirm"    // ID, Call of the delivery; Result
	ConfirmTx  Op = "confirmtx"  // ID, Call of the delivery, Tx; Result: of the transaction
	Settle     Op = "settle"     // ID, Call of the delivery: its Confirm after a ConfirmTx; Result
	Rollback   Op = "rollback"   // ID, Call of the delivery, DelayMS, Kind; Result
	Discard    Op = "discard"    // ID, Call of the delivery: it ends as a dead letter; Result
	Bury       Op = "bury"       // ID, Ver, Reason, Attempt: of one row, by the store; Result
	Ending     Op = "ending"     // Target: a process that is told to end in good order
	Crash      Op = "crash"      // Target: a process that has ended
	Fault      Op = "fault"      // Kind, Variant, Target, Loses, Partly, Parts, Blurs, Prompt; Began if it was seen only afterwards
	Halt       Op = "halt"       // nothing is to be claimed: Began, when Pause had returned; its time, when Resume is about to be called
	Left       Op = "left"       // ID: a row that stands when the run is over
	Letter     Op = "letter"     // ID, Ver, Reason, Attempt: a dead letter that there is when the run is over
	Committed  Op = "committed"  // Tx: a transaction whose own row there is when the run is over
	Ledger     Op = "ledger"     // all Letters and Committed have been told
)

// Result is how an act ended.
type Result string

// Results. All but OK, Claimed, Created, Replaced and Unknown say that nothing was changed.
const (
	OK       Result = "ok"
	Claimed  Result = "claimed"  // of Delete: done, but a worker had claimed the task
	Created  Result = "created"  // of Upsert, as the next two
	Replaced Result = "replaced" // the stored task was changed
	Kept     Result = "kept"     // the stored task was left as it was
	NotFound Result = "notfound"
	Exists   Result = "exists"
	Gone     Result = "gone"
	Aborted  Result = "aborted" // of what has a Tx: that was rolled back
	Unknown  Result = "unknown"
)

// What an Upsert does with a stored task (Event.Conflict).
const (
	Keep     = "keep"
	Replace  = "replace"
	Earliest = "earliest"
	Debounce = "debounce"
)

// Snoozed is the Kind of a Rollback that counts no attempt.
const Snoozed = "snooze"

// Member is a version of a task in a claimed batch.
type Member struct {
	ID    string `json:"id"`               // of the task
	Ver   int64  `json:"ver"`              // of its row
	DueMS int64  `json:"due_ms,omitempty"` // of this version; 0: not recorded, nor is Pay
	Pay   int64  `json:"pay,omitempty"`    // what tells its payload from others of the same ID
}

// Event is one line. Which fields an Op has is told there.
type Event struct {
	At        int64    `json:"at"`                   // unix microseconds, the machine's clock
	Who       string   `json:"who"`                  // one life of one process
	Call      int64    `json:"call,omitempty"`       // the same in both lines of an act, unique in Who except for a delivery's answers
	Op        Op       `json:"op"`                   // the act
	End       bool     `json:"end,omitempty"`        // the line after the act
	ID        string   `json:"id,omitempty"`         // of the task
	DueMS     int64    `json:"due_ms,omitempty"`     // the due time asked for, or of the delivery
	DelayMS   int64    `json:"delay_ms,omitempty"`   // of a rollback
	Attempt   int      `json:"attempt,omitempty"`    // of a delivery or a burial
	Result    Result   `json:"result,omitempty"`     // how the act ended
	Error     string   `json:"error,omitempty"`      // for people
	Began     int64    `json:"began,omitempty"`      // unix microseconds: an act of one line, whose At is its end
	Token     string   `json:"token,omitempty"`      // of a claim's batch
	Members   []Member `json:"members,omitempty"`    // that a claim took
	Tokens    []string `json:"tokens,omitempty"`     // of the batches whose leases are renewed
	Kind      string   `json:"kind,omitempty"`       // of a fault; of a rollback that is a snooze
	Variant   string   `json:"variant,omitempty"`    // of a fault of that kind
	Target    string   `json:"target,omitempty"`     // the process that a fault hits; empty: all
	Tx        string   `json:"tx,omitempty"`         // a transaction of a caller, by a name of its own
	Pay       int64    `json:"pay,omitempty"`        // what tells a task's payload from others of the same ID
	Conflict  string   `json:"conflict,omitempty"`   // of an upsert
	ExpiresMS int64    `json:"expires_ms,omitempty"` // Task.Expires; 0: none
	Ver       int64    `json:"ver,omitempty"`        // of a row that is buried
	Reason    string   `json:"reason,omitempty"`     // of a burial
	Loses     bool     `json:"loses,omitempty"`      // Redis loses data by it
	Partly    bool     `json:"partly,omitempty"`     // not all: what is left contradicts itself until its tasks are done
	Parts     bool     `json:"parts,omitempty"`      // it keeps Target from Redis, so that its leases may run out
	Blurs     bool     `json:"blurs,omitempty"`      // answers of MySQL may be lost by it, so that Target asks again
	Prompt    bool     `json:"prompt,omitempty"`     // it excuses no lateness: what is due is delivered while it lasts
	// EngineUS is Outage.Engine, at the end of a fault of a server whose place another takes.
	EngineUS   int64 `json:"engine_us,omitempty"`
	ClientUS   int64 `json:"client_us,omitempty"`  // Outage.Client, there too
	Partitions []int `json:"partitions,omitempty"` // that it hits; none: all
}

// Recorder appends the events of one process. Its methods may be called by any
// number of goroutines.
type Recorder struct {
	who   string
	file  *os.File
	calls atomic.Int64

	mu  sync.Mutex
	err error
}

// Open opens the history at path for the process called who.
func Open(path, who string) (*Recorder, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	return &Recorder{who: who, file: f}, nil
}

// Now is the machine's clock in unix microseconds, read from the kernel: a process
// whose time package was shifted sees the machine's time here.
func Now() int64 {
	var tv syscall.Timeval
	if err := syscall.Gettimeofday(&tv); err != nil {
		panic(err) // only a bad address makes it fail
	}
	return tv.Sec*1_000_000 + int64(tv.Usec)
}

// Call returns a new number for an act.
func (r *Recorder) Call() int64 { return r.calls.Add(1) }

// Write appends events with one write, at this moment. An error is kept for Close.
func (r *Recorder) Write(events ...Event) {
	at := Now()
	var buf []byte
	for _, e := range events {
		e.At, e.Who = at, r.who
		line, err := json.Marshal(e)
		if err != nil {
			r.fail(err)
			return
		}
		// The line break comes first: a write that a kill cut short (the
		// kernel may, between pages) spoils no other process's line.
		buf = append(append(buf, '\n'), line...)
	}
	if _, err := r.file.Write(buf); err != nil {
		r.fail(err)
	}
}

func (r *Recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = fmt.Errorf("write history: %w", err)
	}
}

// Close closes the file and returns the first error of all writes: a history with
// gaps proves nothing.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.err, r.file.Close())
}
