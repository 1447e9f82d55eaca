package agent

import (
	"context"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

const (
	// auditEvery is how often the auditor audits, or each AuditGrace if that is less. Two audits begin at least
	// auditLeast apart. The first term of a process begins with an audit.
	auditEvery = 5 * time.Second
	auditLeast = time.Second
	// findRows is how many suspects the hot set is asked about at once: for few of them as for
	// many it may have to read all that is in flight.
	findRows = 50_000
)

// auditor finds rows that are late and that the hot set does not hold although the feeder has read
// past them. A creator that died between its commit and its add leaves one. Claims go oldest first, so
// a row that is older than the oldest member that waits is in flight or missing. Only these
// rows are suspects, so the search does not grow with a backlog.
type auditor struct {
	o       Options
	audited time.Time // when an audit of this process began last
}

func newAuditor(o Options) *auditor { return &auditor{o: o} }

// round audits if this process has not done so lately, and returns when to come again.
func (a *auditor) round(ctx context.Context) time.Duration {
	every := min(auditEvery, max(a.o.AuditGrace, auditLeast))
	if left := every - time.Since(a.audited); left > 0 {
		return left
	}
	a.audited = time.Now()
	a.audit(ctx)
	return max(every-time.Since(a.audited), auditLeast)
}

// audit is one pass through both stores. It asks each partition up to where its rows are loaded, and
// when its oldest waiting member is due; raises the low bound; reads the rows that are older; and adds
// those that the hot set does not hold. Only Advance and addMissing write. The commit point is in
// addMissing, because audit asks the hot set once for many pages.
func (a *auditor) audit(ctx context.Context) {
	loaded, bound, top, now := a.bounds(ctx)
	if now > 0 { // first, so that the scan does not read the dead rows below the new bound
		if err := a.o.Store.Advance(ctx, now); err != nil {
			a.o.Report.Error("advance the low bound", err, "advanced at the next audit")
		}
	}
	suspects := map[int][]task.Row{}
	ask := func(least int) {
		for p, rows := range suspects {
			if len(rows) >= least {
				a.addMissing(ctx, p, rows)
				delete(suspects, p)
			}
		}
	}
	for at, more := (task.Cursor{}), true; more && ctx.Err() == nil; {
		rows, err := a.o.Store.Scan(ctx, at, top, pageRows, 0)
		if err != nil {
			a.o.Report.Error("audit", err, "audited again")
			break
		}
		a.o.Counts.Scanned.Add(uint64(len(rows)))
		for _, r := range rows {
			p := task.Partition(r.ID, a.o.parts)
			if r.NextMS < bound[p] && !loaded[p].Less(r.Cursor()) {
				suspects[p] = append(suspects[p], r)
			}
		}
		ask(findRows)
		if more = len(rows) == pageRows; more {
			at = rows[len(rows)-1].Cursor()
		}
	}
	ask(1)
}

// bounds returns, by partition, up to where rows are loaded, and the due time below which they are suspects;
// the due time up to which rows must be read for that; and the earliest of the partitions' times, 0 if
// none has answered.
func (a *auditor) bounds(ctx context.Context) (loaded []task.Cursor, bound []int64, top, now int64) {
	loaded, bound = make([]task.Cursor, a.o.parts), make([]int64, a.o.parts)
	for p := range a.o.parts {
		st, err := a.o.Set.State(ctx, p)
		if err != nil {
			a.o.Report.Error("audit", err, "audited again", "partition", p)
			continue
		}
		if st.AsOf.Generation == 0 {
			continue
		}
		at := st.AsOf.TimeUS / 1000
		if now == 0 || at < now {
			now = at
		}
		oldest := at
		if st.OldestMS > 0 {
			oldest = min(at, st.OldestMS)
		}
		loaded[p], bound[p] = st.Loaded, oldest-a.o.AuditGrace.Milliseconds()
		top = max(top, min(bound[p], st.Loaded.NextMS))
	}
	return loaded, bound, top, now
}

// addMissing adds those suspects that the hot set does not hold and whose rows still exist: it looks for the
// members, reads the rows again, and adds them.
func (a *auditor) addMissing(ctx context.Context, p int, suspects []task.Row) {
	refs := make([]task.Ref, len(suspects))
	for i, r := range suspects {
		refs[i] = r.Ref
	}
	failpoint.Hit("audit/find")
	found, err := a.o.Set.Find(ctx, p, refs)
	if err != nil {
		a.o.Report.Error("audit", err, "audited again", "partition", p)
		return
	}
	var missing []task.Row
	for i, f := range found {
		if f.Outcome == task.FindAbsent || f.Outcome == task.FindOrphan {
			missing = append(missing, suspects[i])
		}
	}
	for rows := range slices.Chunk(missing, pageRows) {
		failpoint.Hit("audit/add")
		n := 0
		asOf, existing, err := a.o.Adder.Reread(ctx, p, rows) // the time before the rows (AsOfBeforeRead)
		if err == nil && len(existing) > 0 {
			// The commit point: a script takes the rows in. No row changes, so a crash before it leaves
			// rows that the hot set does not hold, and the next auditor finds them again. A crash after
			// it leaves nothing to repair.
			n, err = a.o.Adder.AddRows(ctx, p, asOf, existing)
			failpoint.Hit("audit/end")
		}
		a.noteFinds(p, n, err)
	}
}

// noteFinds counts and reports what an addition did.
func (a *auditor) noteFinds(p, n int, err error) {
	a.o.Counts.Finds.Add(uint64(n))
	if n > 0 {
		a.o.Report.Info("audit found tasks that the hot set did not hold", "partition", p, "tasks", n)
	}
	if err != nil {
		a.o.Report.Error("add what the audit found", err, "audited again", "partition", p)
	}
}
