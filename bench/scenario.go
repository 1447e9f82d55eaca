package main

import (
	"context"
	"slices"
	"time"
)

// scenario is one row of the table of what is measured.
type scenario struct {
	n        int // tasks at full size
	peersN   int // the same for peers, where the full size would take hours
	variants []variant
	measure  func(context.Context, *stage) ([]line, error)
}

// variant is one way to run a scenario.
type variant struct {
	Name    string
	Workers int // callers, consumers, or worker processes
	PerCall int // tasks of one call
	Ahead   time.Duration
	Rate    int  // tasks a second
	Hot     bool // preloaded
	History bool // what became of each task is kept: of this library alone
	Rows    int  // that stand in the store besides
	Share   int  // of the scenario's tasks: one in so many
	Fails   int  // one task in so many fails in its first attempt, and is rolled back without a delay; 0: none
	// HotTasks bounds the hot set; 0: the library's default.
	HotTasks int
	// Full: only at full size, or by its name, because a small run of it would show nothing more than those beside it.
	Full bool
}

// stage is where a scenario's measurement runs.
type stage struct {
	job
	sys   system
	meter *meter
	hired int // worker processes so far
}

const (
	one  = time.Hour        // beyond the window
	soon = 30 * time.Second // within it
)

// leastRows is the smallest table of grow, and growTasks how many tasks it measures.
const (
	leastRows = 10_000
	growTasks = 2000
)

var scenarioOrder = []string{"create", "delete", "send", "confirm", "burst", "now", "lateness", "sustained", "backlog", "grow", "fleet", "idle", "recovery"}

func scenarioNames() []string { return scenarioOrder }

// scenarios is filled by init, because their functions lead back to it.
var scenarios map[string]scenario

func init() {
	scenarios = map[string]scenario{
		"create":    {n: 200_000, peersN: 40_000, variants: createVariants(), measure: measureCreate},
		"delete":    {n: 200_000, peersN: 40_000, variants: deleteVariants, measure: measureDelete},
		"send":      {n: 100_000, peersN: 100_000, variants: sendVariants, measure: measureSend},
		"confirm":   {n: 100_000, peersN: 100_000, variants: confirmVariants, measure: measureSend},
		"burst":     {n: 300_000, peersN: 50_000, variants: burstVariants, measure: measureBurst},
		"now":       {n: 10_000, peersN: 10_000, variants: []variant{{Name: "one at a time", Workers: 1, Share: 10}}, measure: measureNow},
		"lateness":  {n: 100_000, peersN: 100_000, variants: latenessVariants, measure: measureLateness},
		"sustained": {n: 200_000, peersN: 40_000, variants: []variant{{Name: "20000/s asked for", Rate: 20_000, Workers: 1}}, measure: measureLateness},
		"backlog":   {n: 5_000_000, peersN: 200_000, variants: []variant{{Name: "overdue", Workers: 1, HotTasks: 100_000}}, measure: measureBacklog},
		"grow":      {n: 10_000_000, peersN: 1_000_000, variants: growVariants(), measure: measureGrow},
		"fleet":     {n: 200_000, peersN: 50_000, variants: fleetVariants(), measure: measureBurst},
		"recovery":  {n: 8000, peersN: 8000, variants: recoveryVariants, measure: measureRecovery},
		"idle":      {n: fullIdle, peersN: fullIdle, variants: []variant{{Name: "nothing due", Workers: 10}}, measure: measureIdle},
	}
}

func createVariants() (all []variant) {
	for _, ahead := range []struct {
		name string
		time.Duration
	}{{"1 h", one}, {"30 s", soon}} {
		for _, c := range []struct{ workers, share int }{{1, 40}, {8, 10}, {64, 4}, {256, 2}} {
			all = append(all, variant{Name: "one a call, due in " + ahead.name, Workers: c.workers, PerCall: 1, Ahead: ahead.Duration, Share: c.share})
		}
		all = append(all, variant{Name: "500 a call, due in " + ahead.name, Workers: 4, PerCall: 500, Ahead: ahead.Duration})
	}
	return all
}

// latenessVariants take 20 s each at full size.
var latenessVariants = []variant{
	{Name: "10/s", Rate: 10, Share: 500, Workers: 1, Full: true},
	{Name: "100/s", Rate: 100, Share: 50, Workers: 1, Full: true},
	{Name: "1000/s", Rate: 1000, Share: 5, Workers: 1},
	{Name: "5000/s", Rate: 5000, Workers: 1},
}

// recoveryVariants are the faults. Two of them take half a minute even with few tasks: until a lease has ended, and until three MySQL servers
// are a group.
var recoveryVariants = []variant{
	{Name: "feeder killed", Workers: 2, Share: 4, Full: true},
	{Name: "Redis restarted", Workers: 2, Share: 4},
	{Name: "MySQL failover", Workers: 2, Share: 4, Full: true},
	{Name: "rolling deploy", Workers: 4, Share: 4},
}

var deleteVariants = []variant{
	{Name: "one a call", Workers: 10, PerCall: 1, Ahead: one, Share: 4},
	{Name: "500 a call", Workers: 4, PerCall: 500, Ahead: one},
}

var burstVariants = []variant{{Name: "one instant", Workers: 2}, {Name: "a tenth fails once", Workers: 2, Fails: 10}}

// fails reports whether that attempt of a task fails.
func (v variant) fails(id string, attempt int) bool {
	return v.Fails > 0 && attempt == 1 && indexOf(id)%v.Fails == 0
}

var sendVariants = []variant{{Name: "from rows", Workers: 1}, {Name: "from the hot set", Workers: 1, Hot: true}}

// confirmVariants measure the history beside the same without.
var confirmVariants = append(slices.Clone(sendVariants), variant{Name: "from the hot set, with history", Workers: 1, Hot: true, History: true})

func growVariants() (all []variant) {
	for rows, name := 10_000, "10^4"; rows <= 10_000_000; rows *= 10 {
		all = append(all, variant{Name: name + " rows", Workers: 1, Rows: rows, Hot: true})
		name = "10^" + string(name[3]+1)
	}
	return all
}

func fleetVariants() (all []variant) {
	for w := 1; w <= 16; w *= 2 {
		all = append(all, variant{Name: "one instant", Workers: w})
	}
	return all
}

// task is task i. Due times are whole milliseconds, which the library keeps.
func (s *stage) task(i int, due time.Time) item {
	return item{id: idOf(i), due: due.Truncate(time.Millisecond), payload: s.bytes()}
}

var shared []byte

// bytes is the payload of all tasks.
func (s *stage) bytes() []byte {
	if len(shared) != s.Payload {
		shared = payload(s.Payload)
	}
	return shared
}
