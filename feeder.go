package triggerhook

import (
	"context"
	"errors"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// pageRows is how many rows the feeder and the auditor read at once.
	pageRows = 1000
	// feedEvery is how soon a round comes again in which a partition failed.
	feedEvery = time.Second
	// feedSteady is how often the horizon is raised, or each third of Window if that
	// is less. A flush that empties the election too is noticed sooner by that.
	feedSteady = 5 * time.Second
	// fullRetry is how soon a round comes again that left a partition short of its
	// horizon: it is full, or failed.
	fullRetry = 100 * time.Millisecond
)

// feeder keeps the hot set full up to the horizon.
//
// Protocol of a round, for each partition: raise the horizon to now + Window
// first; only then read the rows from loaded up to the horizon, in pages, and feed
// them; each page moves loaded. A creator adds its task after its commit, if it is
// due before the horizon. So for each row either the read came after the commit,
// or the creator's add came after the horizon.
//
// One scan of the durable store serves all partitions; it begins at the lowest
// loaded. Each page carries moments of its own, and what a creator commits after it
// was read that creator adds itself, so reading one page ahead changes nothing. A
// partition that fails, or is full, is left out of the scan and catches up from its own
// loaded.
type feeder struct {
	*Scheduler
	epoch     int64
	announced []int64     // by partition: the generation that it has announced and not settled yet
	vetoes    []int       // by partition: how many in a row were taken back of what it has announced
	rest      []time.Time // by partition: until then it announces nothing
}

func (s *Scheduler) newFeeder(epoch int64) *feeder {
	return &feeder{Scheduler: s, epoch: epoch, announced: make([]int64, s.parts), vetoes: make([]int, s.parts), rest: make([]time.Time, s.parts)}
}

// partScan is a partition's part in a round.
type partScan struct {
	p      int
	state  task.PartitionStatus
	done   bool
	loaded task.Cursor
}

// round feeds once and returns when to do so again.
func (f *feeder) round(ctx context.Context) time.Duration {
	next := min(feedSteady, f.o.Window/3)
	var scans []*partScan
	for p := range f.parts {
		st, wait, err := f.raise(ctx, p)
		if err == nil && wait > 0 {
			next = min(next, wait)
			continue
		}
		if err != nil {
			f.report.Error("raise the horizon", err, "tried again in a second", "partition", p)
			next = feedEvery
			continue
		}
		if st.Fresh {
			f.counts.rebuilds.Add(1)
			f.report.Info("new generation of the hot set", "partition", p)
		}
		if st.Retreated {
			f.report.Info("horizon retreated: the hot set is full", "partition", p, "horizon_ms", st.HorizonMS)
		}
		if wait := time.Duration(st.ReadyMS-st.AsOf.TimeUS/1000) * time.Millisecond; wait > 0 && !f.unheld(p, st) {
			f.early(ctx, p, st, wait)
			next = min(next, wait)
			continue
		}
		scans = append(scans, &partScan{p: p, state: st, loaded: st.Loaded})
	}
	if !f.scan(ctx, scans) {
		next = min(next, fullRetry)
	}
	return min(next, f.settlePace())
}

// raise raises the horizon of a partition. If that is cold it first has a generation counted
// on this server, which may take a while: wait is when to come again then.
func (f *feeder) raise(ctx context.Context, p int) (st task.PartitionStatus, wait time.Duration, err error) {
	wish, err := f.wish(ctx, p)
	if err != nil {
		return st, 0, err
	}
	wish.Look = true
	failpoint.Hit("feed/horizon")
	st, err = f.set.Horizon(ctx, p, wish)
	if err == nil {
		f.keep(ctx, p)
	}
	if !errors.Is(err, task.ErrCold) {
		return st, 0, err
	}
	if wish.Generation, wait, err = f.takeOver(ctx, p, st.Server); err != nil || wish.Generation == 0 {
		return st, wait, err
	}
	wish.Look, wish.Server = false, st.Server
	st, err = f.set.Horizon(ctx, p, wish)
	return st, 0, err
}

// wish is what the horizon is to be, by the hot set's clock: that is at least what
// Clock answers, and further by no more than such an answer may be old; between
// these the local clock decides. It is no further from that than rule 6 allows.
func (f *feeder) wish(ctx context.Context, p int) (task.HorizonRequest, error) {
	asOf, err := f.set.Clock(ctx, p)
	if err != nil {
		return task.HorizonRequest{}, err
	}
	low := asOf.TimeUS / 1000
	now := min(max(low, time.Now().UnixMilli()), low+task.TombstoneTTL.Milliseconds()/2)
	window, err := f.settle(ctx)
	return task.HorizonRequest{Epoch: f.epoch, HorizonMS: now + window.Milliseconds(), Limit: f.limit()}, err
}

// early feeds what falls due while a new generation waits for workers to register
// what they hold: rows due after its start are in nobody's hands. Loaded stays.
func (f *feeder) early(ctx context.Context, p int, st task.PartitionStatus, wait time.Duration) {
	asOf := task.AsOf{Generation: st.AsOf.Generation, TimeUS: st.AsOf.TimeUS}
	below := min(st.HorizonMS, st.AsOf.TimeUS/1000+wait.Milliseconds()+1000)
	failpoint.Hit("early/select")
	rows, err := f.store.Scan(ctx, task.Cursor{DueMS: st.StartMS + 1}, below, pageRows, f.o.InlinePayload)
	if err == nil {
		f.counts.scanned.Add(uint64(len(rows)))
		failpoint.Hit("early/add")
		st, err = f.set.Feed(ctx, p, task.FeedRequest{AsOf: asOf, Epoch: f.epoch, Entries: f.entriesOf(p, rows), Loaded: st.Loaded})
		failpoint.Hit("early/end")
		f.counts.preloaded.Add(uint64(st.Taken))
	}
	f.report.Error("feed early", err, "fed in turn")
}

// scan reads from the lowest loaded on, and reports whether all partitions are
// full up to their horizons. While a page is fed the next one is read.
func (f *feeder) scan(ctx context.Context, scans []*partScan) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	complete := true
	var ahead <-chan sheet
	defer func() {
		if ahead != nil {
			cancel()
			<-ahead
		}
	}()
	for ctx.Err() == nil {
		at, below, open := f.lowest(scans)
		if len(open) == 0 {
			break
		}
		if ahead == nil {
			ahead = f.read(ctx, at, below, open)
		}
		page := <-ahead
		ahead = nil
		if page.err != nil {
			f.report.Error("read the window", page.err, "read again from there")
			return false
		}
		if page.more && f.room(scans, len(page.rows)) {
			ahead = f.read(ctx, page.end, below, open)
		}
		for _, s := range scans {
			if !s.done {
				complete = f.feed(ctx, s, page) && complete
			}
		}
	}
	for _, s := range scans {
		complete = complete && s.loaded.DueMS >= s.state.HorizonMS
	}
	return complete
}

// sheet is a page of the scan: the rows up to end.
type sheet struct {
	asOf map[int]task.AsOf // by partition, seen before the rows were read (rule 3)
	rows []task.Row
	end  task.Cursor
	more bool // there may be rows beyond end
	err  error
}

// read reads a page, and answers once.
func (f *feeder) read(ctx context.Context, at task.Cursor, below int64, open []*partScan) <-chan sheet {
	answer := make(chan sheet, 1)
	go func() {
		page := sheet{asOf: f.moments(ctx, open), end: task.Cursor{DueMS: below}}
		failpoint.Hit("feed/select")
		page.rows, page.err = f.store.Scan(ctx, at, below, pageRows, f.o.InlinePayload)
		f.counts.scanned.Add(uint64(len(page.rows)))
		if page.more = len(page.rows) == pageRows; page.more {
			page.end = page.rows[len(page.rows)-1].Cursor()
		}
		answer <- page
	}()
	return answer
}

// room reports whether a partition is likely to take more once n rows are fed.
func (f *feeder) room(scans []*partScan, n int) bool {
	for _, s := range scans {
		if !s.done && s.state.Members+n/len(scans) < f.limit() {
			return true
		}
	}
	return false
}

// limit is how many members a partition may hold.
func (f *feeder) limit() int { return max(1, f.o.HotTasks/f.parts) }

// lowest returns where to read on, up to where, and which partitions need it.
func (f *feeder) lowest(scans []*partScan) (at task.Cursor, below int64, open []*partScan) {
	for _, s := range scans {
		full := s.state.Members >= f.limit()
		if s.done = s.done || full || s.loaded.DueMS >= s.state.HorizonMS; s.done {
			continue
		}
		if len(open) == 0 || s.loaded.Less(at) {
			at = s.loaded
		}
		below = max(below, s.state.HorizonMS)
		open = append(open, s)
	}
	return at, below, open
}

// moments takes each partition's time before rows are read. One that does not
// answer is left out.
func (f *feeder) moments(ctx context.Context, open []*partScan) map[int]task.AsOf {
	all := make(map[int]task.AsOf, len(open))
	for _, s := range open {
		a, err := f.set.Clock(ctx, s.p)
		if err != nil {
			f.report.Error("ask the hot set's time", err, "partition left out of this scan", "partition", s.p)
			continue
		}
		all[s.p] = a
	}
	return all
}

// feed feeds one page to a partition, under the generation that the round began
// with (rule 4); rows before its loaded are in already.
func (f *feeder) feed(ctx context.Context, s *partScan, page sheet) bool {
	if !s.loaded.Less(page.end) {
		return true
	}
	asOf, told := page.asOf[s.p]
	if !told || asOf.Generation != s.state.AsOf.Generation {
		s.done = true
		return false
	}
	from := 0
	for from < len(page.rows) && !s.loaded.Less(page.rows[from].Cursor()) {
		from++
	}
	entries := f.entriesOf(s.p, page.rows[from:])
	failpoint.Hit("feed/add")
	st, err := f.set.Feed(ctx, s.p, task.FeedRequest{AsOf: asOf, Epoch: f.epoch, Entries: entries, Loaded: page.end})
	if err != nil {
		s.done = true
		if !errors.Is(err, task.ErrCold) && !errors.Is(err, task.ErrAborted) && !errors.Is(err, task.ErrStale) {
			f.report.Error("feed", err, "the partition catches up in the next round", "partition", s.p)
		}
		return false
	}
	failpoint.Hit("feed/end")
	f.counts.preloaded.Add(uint64(st.Taken))
	s.state, s.loaded = st, page.end
	return true
}

// entriesOf are the rows that belong to partition p.
func (f *feeder) entriesOf(p int, rows []task.Row) []task.Entry {
	mine := make([]task.Row, 0, len(rows))
	for _, r := range rows {
		if task.Partition(r.ID, f.parts) == p {
			mine = append(mine, r)
		}
	}
	return f.entries(mine)
}
