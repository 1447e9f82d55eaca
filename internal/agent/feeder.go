package agent

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/triggerhook/triggerhook/hook"
	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/internal/hooks"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// failedRetry is how soon after a round that could not raise a horizon the next one comes.
	failedRetry = time.Second
	// feedEvery is how often the horizon is raised, or each third of Window if that is less. A
	// flush of Redis that also loses the elections is noticed within that time.
	feedEvery = 5 * time.Second
	// fullRetry is how soon after a round that left a partition short of its horizon, because it is
	// full or has failed, the next one comes.
	fullRetry = 100 * time.Millisecond
	// earlyAhead is how far beyond the start of a new generation's loading feedWhileRegistering feeds.
	earlyAhead = time.Second
)

// feeder keeps the hot set full up to the horizon: the method round reads as the steps of that.
//
// Why no row is missed: a creator adds its task after its commit, if the task is due before the
// horizon. So for each row, either the feeder's read came after the commit, or the creator's add
// came after the horizon was raised.
//
// One scan of the durable store serves all partitions, and begins at the lowest loaded. A partition
// that fails, or is full, is left out of the scan and catches up from its own loaded in the next
// round.
type feeder struct {
	o             Options
	epoch         int64
	announced     []int64     // by partition: the generation that it has announced, until that counts
	vetoes        []int       // by partition: how many of its announcements in a row were taken back
	announceAfter []time.Time // by partition: until then it announces nothing
}

func newFeeder(o Options, epoch int64) *feeder {
	return &feeder{o: o, epoch: epoch, announced: make([]int64, o.parts), vetoes: make([]int, o.parts), announceAfter: make([]time.Time, o.parts)}
}

// partitionScan is the progress of one partition in a round.
type partitionScan struct {
	p      int
	state  task.PartitionStatus
	loaded task.Cursor // the partition holds all rows up to here
	done   bool        // it takes no more in this round
}

// round is one pass through both stores, for all partitions. It returns when to come again.
func (f *feeder) round(ctx context.Context) time.Duration {
	// Step 1: raise each partition's horizon to now + Window. A crash after this leaves rows below a
	// horizon that are not loaded. The next feeder reads them, because loaded is still below them.
	scans, next := f.raiseAll(ctx)

	// Step 2, only after step 1: read the rows from loaded up to the horizon, page by page. Each page begins
	// with the time of each partition (readPage). Reads leave nothing to repair.
	for pg := range f.pages(ctx, scans) {
		for _, s := range scans {
			req, wanted := f.feedRequest(s, pg)
			if !wanted {
				continue
			}
			failpoint.Hit("feed/add")

			// Step 3, the commit point: one script takes the rows in and moves loaded. A crash before it
			// leaves loaded below the page, and the next feeder reads the page again. A crash after it
			// leaves nothing to repair: the next feeder reads on from loaded.
			st, err := f.o.Set.Feed(ctx, s.p, req)
			if err != nil {
				f.leaveOut(s, err)
				continue
			}
			failpoint.Hit("feed/end")
			f.noteFed(s.p, req.Entries, st.Taken)
			s.state, s.loaded = st, pg.end
		}
	}
	return f.nextRound(scans, next)
}

// nextRound returns when another round is to come: at next, or sooner if a partition is short of its
// horizon, or Options.Window is not effective yet.
func (f *feeder) nextRound(scans []*partitionScan, next time.Duration) time.Duration {
	for _, s := range scans {
		if s.loaded.NextMS < s.state.HorizonMS {
			next = min(next, fullRetry)
		}
	}
	if within, pending := f.o.Window.Pending(); pending {
		next = min(next, within)
	}
	return next
}

// raiseAll raises all horizons. It returns the partitions whose rows are to be read now, and when
// another round is to come at the latest.
func (f *feeder) raiseAll(ctx context.Context) (scans []*partitionScan, next time.Duration) {
	next = min(feedEvery, f.o.Window.Length()/3)
	for p := range f.o.parts {
		scan, wait, err := f.beginScan(ctx, p)
		switch {
		case err != nil:
			f.o.Report.Error("raise the horizon", err, "tried again in a second", "partition", p)
			next = failedRetry
		case scan == nil:
			next = min(next, wait)
		default:
			scans = append(scans, scan)
		}
	}
	return scans, next
}

// beginScan raises the horizon of a partition, and returns its place in the scan. If its rows are not
// to be read yet it returns nil, and how long to wait.
func (f *feeder) beginScan(ctx context.Context, p int) (scan *partitionScan, wait time.Duration, err error) {
	st, wait, err := f.raise(ctx, p)
	if err != nil || wait > 0 {
		return nil, wait, err
	}
	if st.New {
		f.o.Counts.Rebuilds.Add(1)
		f.o.Report.Info("new generation of the hot set", "partition", p)
		if tell := f.o.Hooks.Rebuilt; tell != nil {
			hooks.Call(f.o.Report, "Rebuilt", tell, hook.Rebuilt{Partition: p})
		}
	}
	if st.Retreated {
		f.o.Report.Info("horizon retreated: the hot set is full", "partition", p, "horizon_ms", st.HorizonMS)
	}
	if left := time.Duration(st.ReadyMS-st.AsOf.TimeUS/1000) * time.Millisecond; left > 0 && !f.o.Window.IsFirstGeneration(p, st) {
		f.feedWhileRegistering(ctx, p, st, left)
		return nil, left, nil
	}
	return &partitionScan{p: p, state: st, loaded: st.Loaded}, 0, nil
}

// raise raises the horizon of a partition. If the partition is cold it first makes a generation
// of this server current (takeOver). Until that is done it raises nothing, and returns how long to
// wait.
func (f *feeder) raise(ctx context.Context, p int) (st task.PartitionStatus, wait time.Duration, err error) {
	req, err := f.horizonRequest(ctx, p)
	if err != nil {
		return st, 0, err
	}
	req.Look = true
	failpoint.Hit("feed/horizon")
	st, err = f.o.Set.Horizon(ctx, p, req)
	if err == nil {
		f.adoptGeneration(ctx, p)
	}
	if !errors.Is(err, task.ErrCold) {
		return st, 0, err
	}
	if req.Generation, wait, err = f.takeOver(ctx, p, st.Server); err != nil || req.Generation == 0 {
		return st, wait, err
	}
	req.Look, req.Server = false, st.Server
	st, err = f.o.Set.Horizon(ctx, p, req)
	return st, 0, err
}

// horizonRequest asks for a horizon of now + Window. Now is what the local clock says, but neither
// earlier than Clock's answer nor later than it by more than the answer may be old. So the horizon is no
// further away than FarUntold allows.
func (f *feeder) horizonRequest(ctx context.Context, p int) (task.HorizonRequest, error) {
	asOf, err := f.o.Set.Clock(ctx, p)
	if err != nil {
		return task.HorizonRequest{}, err
	}
	low := asOf.TimeUS / 1000
	now := min(max(low, time.Now().UnixMilli()), low+task.TombstoneTTL.Milliseconds()/2)
	window, err := f.o.Window.Effective(ctx)
	return task.HorizonRequest{Epoch: f.epoch, HorizonMS: now + window.Milliseconds(), Limit: f.limit()}, err
}

// feedWhileRegistering feeds what falls due in the next time left, and earlyAhead after it, while workers
// register with the new generation what they have in hand. It leaves out what a worker may have in hand:
// what is due up to task.MaxAhead after the start of the generation (ClaimAhead). It does not move
// loaded, so a crash in it leaves nothing to repair.
func (f *feeder) feedWhileRegistering(ctx context.Context, p int, st task.PartitionStatus, left time.Duration) {
	unclaimed := task.Cursor{NextMS: st.StartMS + task.MaxAhead.Milliseconds() + 1}
	below := min(st.HorizonMS, st.AsOf.TimeUS/1000+(left+earlyAhead).Milliseconds())
	failpoint.Hit("early/select")
	rows, err := f.o.Store.Scan(ctx, unclaimed, below, pageRows, f.o.InlinePayload)
	if err == nil {
		f.o.Counts.Scanned.Add(uint64(len(rows)))
		failpoint.Hit("early/add")
		entries := f.entriesOf(p, rows)
		var fed task.PartitionStatus
		fed, err = f.o.Set.Feed(ctx, p, task.FeedRequest{AsOf: st.AsOf, Epoch: f.epoch, Entries: entries, Loaded: st.Loaded})
		failpoint.Hit("early/end")
		if err == nil {
			f.noteFed(p, entries, fed.Taken)
		}
	}
	if err != nil {
		f.o.Report.Error("feed early", err, "the next round feeds it")
	}
}

// page is a page of the scan: the rows up to end.
type page struct {
	asOf map[int]task.AsOf // by partition, seen before the rows were read (AsOfBeforeRead)
	rows []task.Row
	end  task.Cursor
	more bool // there may be rows beyond end
	err  error
}

// pages yields page after page, from the lowest loaded on, until all partitions are full up to their
// horizons. After an error it yields no further page.
//
// While its caller feeds a page another goroutine reads the next one (readAhead), which pages awaits
// before it returns. That does no harm: each page has times of its own, and a creator adds what it
// commits after a page was read.
func (f *feeder) pages(ctx context.Context, scans []*partitionScan) iter.Seq[page] {
	return func(yield func(page) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var ahead <-chan page
		defer func() {
			if ahead != nil {
				cancel()
				<-ahead
			}
		}()
		for ctx.Err() == nil {
			at, below, unfinished := f.lowest(scans)
			if len(unfinished) == 0 {
				return
			}
			if ahead == nil {
				ahead = f.readAhead(ctx, at, below, unfinished)
			}
			pg := <-ahead
			ahead = nil
			if pg.err != nil {
				f.o.Report.Error("read the window", pg.err, "read again from there")
				return
			}
			if pg.more && f.room(scans, len(pg.rows)) {
				ahead = f.readAhead(ctx, pg.end, below, unfinished)
			}
			if !yield(pg) {
				return
			}
		}
	}
}

// readAhead reads a page in another goroutine, and answers once.
func (f *feeder) readAhead(ctx context.Context, at task.Cursor, below int64, unfinished []*partitionScan) <-chan page {
	answer := make(chan page, 1)
	go func() { answer <- f.readPage(ctx, at, below, unfinished) }()
	return answer
}

// readPage reads a page: first the time of each partition (AsOfBeforeRead), and then the rows that
// follow at.
func (f *feeder) readPage(ctx context.Context, at task.Cursor, below int64, unfinished []*partitionScan) page {
	pg := page{asOf: f.moments(ctx, unfinished), end: task.Cursor{NextMS: below}}
	failpoint.Hit("feed/select")
	pg.rows, pg.err = f.o.Store.Scan(ctx, at, below, pageRows, f.o.InlinePayload)
	f.o.Counts.Scanned.Add(uint64(len(pg.rows)))
	if pg.more = len(pg.rows) == pageRows; pg.more {
		pg.end = pg.rows[len(pg.rows)-1].Cursor()
	}
	return pg
}

// room reports whether a partition is likely to take more once n rows are fed.
func (f *feeder) room(scans []*partitionScan, n int) bool {
	for _, s := range scans {
		if !s.done && s.state.Members+n/len(scans) < f.limit() {
			return true
		}
	}
	return false
}

// limit is how many members a partition may hold.
func (f *feeder) limit() int { return max(1, f.o.HotTasks/f.o.parts) }

// lowest returns where to read on, up to where, and which partitions need it. It marks the others as done.
func (f *feeder) lowest(scans []*partitionScan) (at task.Cursor, below int64, unfinished []*partitionScan) {
	for _, s := range scans {
		full := s.state.Members >= f.limit()
		if s.done = s.done || full || s.loaded.NextMS >= s.state.HorizonMS; s.done {
			continue
		}
		if len(unfinished) == 0 || s.loaded.Less(at) {
			at = s.loaded
		}
		below = max(below, s.state.HorizonMS)
		unfinished = append(unfinished, s)
	}
	return at, below, unfinished
}

// moments asks each partition's time. A partition that does not answer is left out.
func (f *feeder) moments(ctx context.Context, unfinished []*partitionScan) map[int]task.AsOf {
	all := make(map[int]task.AsOf, len(unfinished))
	for _, s := range unfinished {
		a, err := f.o.Set.Clock(ctx, s.p)
		if err != nil {
			f.o.Report.Error("ask the hot set's time", err, "partition left out of this scan", "partition", s.p)
			continue
		}
		all[s.p] = a
	}
	return all
}

// feedRequest is the call that feeds a page to a partition. False: the partition does not need the
// page, or takes no more in this round, because its time is not known or it has another generation
// than the round began with.
func (f *feeder) feedRequest(s *partitionScan, pg page) (req task.FeedRequest, wanted bool) {
	if s.done || !s.loaded.Less(pg.end) {
		return req, false
	}
	asOf, known := pg.asOf[s.p]
	if !known || asOf.Generation != s.state.AsOf.Generation {
		s.done = true
		return req, false
	}
	from := 0 // the rows before loaded are in already
	for from < len(pg.rows) && !s.loaded.Less(pg.rows[from].Cursor()) {
		from++
	}
	return task.FeedRequest{AsOf: asOf, Epoch: f.epoch, Entries: f.entriesOf(s.p, pg.rows[from:]), Loaded: pg.end}, true
}

// leaveOut leaves a partition whose Feed has failed out of the rest of the round.
func (f *feeder) leaveOut(s *partitionScan, err error) {
	s.done = true
	if !errors.Is(err, task.ErrCold) && !errors.Is(err, task.ErrAborted) && !errors.Is(err, task.ErrStale) {
		f.o.Report.Error("feed", err, "the partition catches up in the next round", "partition", s.p)
	}
}

// noteFed counts what partition p took of the entries that it was fed, and tells the hook.
func (f *feeder) noteFed(p int, entries []task.Entry, taken int) {
	f.o.Counts.Fed.Add(uint64(taken))
	tell := f.o.Hooks.Preloaded
	if tell == nil || len(entries) == 0 {
		return
	}
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	hooks.Call(f.o.Report, "Preloaded", tell, hook.Preloaded{Partition: p, IDs: ids, Added: taken})
}

// entriesOf are the rows that belong to partition p.
func (f *feeder) entriesOf(p int, rows []task.Row) []task.Entry {
	mine := make([]task.Row, 0, len(rows))
	for _, r := range rows {
		if task.Partition(r.ID, f.o.parts) == p {
			mine = append(mine, r)
		}
	}
	return f.o.Adder.Entries(mine)
}
