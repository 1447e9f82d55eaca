// Package agent has the background roles, one a file: the feeder keeps the hot set full (and takes
// generations over), the reaper gives back batches whose lease has expired, and the auditor finds late rows
// that the hot set does not hold. One process at a time holds each role; the elector takes part in the
// elections. Two more run beside a role, in the process that holds it: the drainer of the outbox beside the
// feeder, and the purger of the history beside the auditor.
//
// Each role does its work in rounds. A round is one pass through both stores, and returns when the
// next one is to come.
package agent

import (
	"sync/atomic"
	"time"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/horizon"
	"github.com/triggerhook/triggerhook/internal/preload"
	"github.com/triggerhook/triggerhook/internal/record"
	"github.com/triggerhook/triggerhook/internal/report"
)

// Options of NewElector. All of them are set, except Outbox, History, and hooks.
type Options struct {
	Name          string            // of this process, in elections
	Store         durable.Store     // that the roles read
	Outbox        durable.TxStore   // the same Store, if it has an outbox; otherwise nil
	History       durable.Historian // the same Store, if history is kept; otherwise nil
	Retention     time.Duration     // of the history
	Set           hotset.Set        // that the roles fill and mend
	Fenced        hotset.Set        // the same Set without internal/removal: a removal that fails is not retried
	Records       *record.Reader    // which generation is current
	Outage        *record.Outage    // which partitions do not answer
	Window        *horizon.Window   // how far the horizon may reach
	Adder         *preload.Adder    // adds what the auditor finds
	Lease         time.Duration     // of this process's workers
	AuditGrace    time.Duration     // how late a task must be before the auditor looks for it
	HotTasks      int               // members that the hot set may hold
	InlinePayload int               // the longest payload that the hot set holds
	Counts        *Counts           // what the roles did
	Report        *report.Reporter  // gets what no caller can be told
	Hooks         hook.Hooks        // are told of events; each may be nil
	Tell          func() []byte     // returns what this worker tells others of itself; not empty

	parts int // of the hot set; NewElector sets it
}

// Counts is what the roles of this process have done since it began.
type Counts struct {
	Fed      atomic.Uint64 // tasks that its feeder took into the hot set
	Scanned  atomic.Uint64 // rows that its feeder and auditor read
	Rebuilds atomic.Uint64 // generations that its feeder began
	Finds    atomic.Uint64 // tasks that its auditor found missing
	Purged   atomic.Uint64 // ends of tasks that its purger deleted from the history
}

// pageRows is how many rows are read at once.
const pageRows = 1000
