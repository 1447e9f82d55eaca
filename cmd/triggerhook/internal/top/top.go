// Package top shows a namespace live in a terminal: where its tasks are in their lives, what its workers do, and what falls due in the coming
// hour. It reads; no key changes anything.
package top

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/metrics/throughput"
)

// Minutes is how many minutes ahead the histogram reaches.
const Minutes = 60

// Snapshot is what was read at one time.
type Snapshot struct {
	At     time.Time                  // when it was read
	Stats  triggerhook.NamespaceStats // of all processes
	Within []triggerhook.Forecast     // how many tasks fall due within 1, 2, ... Minutes minutes
	Late   time.Duration              // how late the oldest task is that waits to be claimed; 0 if none is due
}

// Source reads a Snapshot.
type Source func(context.Context) (Snapshot, error)

// Model is the state of the view. It is a tea.Model.
type Model struct {
	ctx           context.Context // of the program: reads and waits end with it
	source        Source
	workers       Workers
	title         string // names the namespace and its stores
	every         time.Duration
	width, height int
	last, before  Snapshot // the last two; At is zero until there is one
	due, held     []int64  // due and in flight, of the last snapshots
	err           error    // of the last read
	fleet         fleet
}

// intervals are those between which a user can choose.
var intervals = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}

// readTime is how long a read may take.
const readTime = 10 * time.Second

// New returns a Model that reads from source, and asks workers, at that interval.
func New(ctx context.Context, title string, every time.Duration, source Source, workers Workers) Model {
	return Model{ctx: ctx, source: source, workers: workers, title: title, every: every, width: 80, height: 24, fleet: fleet{meter: &throughput.Meter{}}}
}

// readMsg is what a read has come to.
type readMsg struct {
	Snapshot
	err error
}

// againMsg asks for the next read.
type againMsg struct{}

// Init begins the first read, and asks the workers.
func (m Model) Init() tea.Cmd { return tea.Batch(m.read, m.ask) }

// read reads a Snapshot.
func (m Model) read() tea.Msg {
	ctx, cancel := context.WithTimeout(m.ctx, readTime)
	defer cancel()
	s, err := m.source(ctx)
	return readMsg{s, err}
}

// wait waits until the next read is due, or the program ends.
func (m Model) wait() tea.Msg {
	m.pause()
	return againMsg{}
}

// pause waits for the interval, or until the program ends. (tea.Tick would stay until its time is over.)
func (m Model) pause() {
	pause := time.NewTimer(m.every)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-m.ctx.Done():
	}
}

// Update takes what a read has come to, a key, or a new size. There is one read at a time, and one question to the workers beside it: the next one is asked for after the last has ended.
func (m Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m.key(msg.String())
	case againMsg:
		return m, m.read
	case readMsg:
		if m.err = msg.err; m.err == nil {
			m.take(msg.Snapshot)
		}
		return m, m.wait
	case askAgainMsg:
		return m, m.ask
	case askedMsg:
		m.takeFleet(msg)
		return m, m.askLater
	}
	return m, nil
}

// key does what a key asks for.
func (m Model) key(key string) (tea.Model, tea.Cmd) {
	switch key {
	case "q", "esc", "ctrl+c":
		return m, tea.Quit
	case "+", "=":
		m.every = next(m.every, 1)
	case "-":
		m.every = next(m.every, -1)
	}
	return m, nil
}

// next is the interval that is one step longer or shorter.
func next(every time.Duration, step int) time.Duration {
	at := 0
	for i, d := range intervals {
		if d <= every {
			at = i
		}
	}
	return intervals[min(max(at+step, 0), len(intervals)-1)]
}

// kept is how many snapshots the small curves show.
const kept = 40

func (m *Model) take(s Snapshot) {
	m.before, m.last = m.last, s
	m.due, m.held = keep(m.due, s.Stats.Due), keep(m.held, s.Stats.InFlight)
}

// keep appends to a copy, because a Model is a value.
func keep(all []int64, n int64) []int64 {
	all = append(append([]int64{}, all...), n)
	return all[max(0, len(all)-kept):]
}

// rate is by how much a number has changed in a second between the last two snapshots.
func (m Model) rate(of func(triggerhook.NamespaceStats) int64) float64 {
	seconds := m.last.At.Sub(m.before.At).Seconds()
	if m.before.At.IsZero() || seconds <= 0 {
		return 0
	}
	return float64(of(m.last.Stats)-of(m.before.Stats)) / seconds
}

// minutes is how many tasks fall due in each of the coming minutes. Where the store estimates, a later number may be lower: then it is 0.
func (s Snapshot) minutes() (all []int64, estimated bool) {
	all = make([]int64, len(s.Within))
	low := int64(0)
	for i, f := range s.Within {
		all[i] = max(0, f.Tasks-low)
		low, estimated = max(low, f.Tasks), estimated || f.Estimated
	}
	return all, estimated
}

// Err is the error of the last read.
func (m Model) Err() error { return m.err }
