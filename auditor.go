package triggerhook

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/internal/failpoint"
	"github.com/triggerhook/triggerhook/task"
)

// auditEvery is how often the auditor looks for what fell through, and once more when a
// process holds the role for the first time.
const auditEvery = 5 * time.Second

// reapEvery is how often the auditor looks at most, however short AuditGrace is.
// Expired batches are given back in each round.
const reapEvery = time.Second

// auditor finds what fell through: rows that are loaded, by what the hot set
// says, and late, but that the hot set does not hold. A creator that died between
// its commit and its add leaves one. Claims go oldest first, so what is older than
// the oldest that waits is in flight or lost: the search does not grow with a
// backlog.
//
// It is the reaper too: batches whose lease is over go back, as far as their rows
// exist (rule 5).
type auditor struct {
	*Scheduler
	audited time.Time // when an audit of this process began last
}

// round reaps, and audits if it is time; it returns when to come again.
func (a *auditor) round(ctx context.Context) time.Duration {
	for p := range a.parts {
		a.reap(ctx, p)
	}
	if time.Since(a.audited) >= min(auditEvery, max(a.o.AuditGrace, reapEvery)) {
		a.audited = time.Now()
		a.audit(ctx)
	}
	return min(a.o.Lease/4, 3*time.Second)
}

// reap gives the batches of a partition back whose lease is over.
func (a *auditor) reap(ctx context.Context, p int) {
	for {
		const most = 10
		over, err := a.set.Expired(ctx, p, most, a.o.Lease)
		if err != nil {
			a.report.Error("look for expired leases", err, "looked for again", "partition", p)
			return
		}
		for _, b := range over {
			if err := a.reapBatch(ctx, p, b); err != nil {
				if !errors.Is(err, task.ErrStale) && !errors.Is(err, task.ErrCold) {
					a.report.Error("reap a batch", err, "reaped again", "partition", p)
				}
				return
			}
		}
		if len(over) < most {
			return
		}
	}
}

// reapBatch reads whose rows stand, after it has seen the time, and gives those back.
func (a *auditor) reapBatch(ctx context.Context, p int, b task.ExpiredBatch) error {
	failpoint.Hit("reap/read")
	asOf, err := a.set.Clock(ctx, p)
	if err != nil {
		return err
	}
	ids := make([]string, len(b.Refs))
	for i, r := range b.Refs {
		ids[i] = r.ID
	}
	refs, err := a.store.Versions(ctx, ids)
	if err != nil {
		return err
	}
	stand := make(map[task.Ref]bool, len(refs))
	for _, r := range refs {
		stand[r] = true
	}
	back := task.ReleaseRequest{Token: b.Token, AtDue: true, Counted: true, Expired: true, AsOf: asOf}
	var gone []task.Ref
	for _, r := range b.Refs {
		if stand[r] {
			back.Refs = append(back.Refs, r)
		} else {
			gone = append(gone, r)
		}
	}
	if len(gone) > 0 {
		// first in nobody's name: its holder may have got its lease back meanwhile, and
		// who removes another version of the task is to know of it
		failpoint.Hit("reap/remove")
		for _, token := range []string{"", b.Token} {
			if _, err := a.set.Remove(ctx, p, token, gone); err != nil {
				return err
			}
		}
	}
	if len(back.Refs) == 0 && len(gone) > 0 {
		return nil // the batch ended with its last member
	}
	failpoint.Hit("reap/requeue")
	if _, err := a.set.Release(ctx, p, back); err != nil {
		return err
	}
	failpoint.Hit("reap/end")
	return nil
}

// findRows is how many suspects the hot set is asked about at once: for few of them as for
// many it may have to read all that is in flight.
const findRows = 50_000

// audit looks through the rows that are older than all that wait.
func (a *auditor) audit(ctx context.Context) {
	loaded, bound, top, now := a.bounds(ctx)
	if now > 0 { // before the rows are read, so that the dead ones below the new bound are not
		a.report.Error("advance the low bound", a.store.Advance(ctx, now), "advanced at the next audit")
	}
	suspects := map[int][]task.Row{}
	ask := func(least int) {
		for p, rows := range suspects {
			if len(rows) >= least {
				a.find(ctx, p, rows)
				delete(suspects, p)
			}
		}
	}
	for at, more := (task.Cursor{}), true; more && ctx.Err() == nil; {
		rows, err := a.store.Scan(ctx, at, top, pageRows, 0)
		if err != nil {
			a.report.Error("audit", err, "audited again")
			break
		}
		a.counts.scanned.Add(uint64(len(rows)))
		for _, r := range rows {
			p := task.Partition(r.ID, a.parts)
			if r.DueMS < bound[p] && !loaded[p].Less(r.Cursor()) {
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

// bounds returns, by partition, up to where rows are loaded and before which due time
// they are suspect; the highest due time of both; and the earliest of the times that the
// partitions told, 0 if none did.
func (a *auditor) bounds(ctx context.Context) (loaded []task.Cursor, bound []int64, top, now int64) {
	loaded, bound = make([]task.Cursor, a.parts), make([]int64, a.parts)
	for p := range a.parts {
		st, err := a.set.State(ctx, p)
		if err != nil {
			a.report.Error("audit", err, "audited again", "partition", p)
			continue
		}
		if st.AsOf.Generation == 0 {
			continue
		}
		oldest := st.AsOf.TimeUS / 1000
		if now == 0 || oldest < now {
			now = oldest
		}
		if st.OldestMS > 0 {
			oldest = min(oldest, st.OldestMS)
		}
		loaded[p], bound[p] = st.Loaded, oldest-a.o.AuditGrace.Milliseconds()
		top = max(top, min(bound[p], st.Loaded.DueMS))
	}
	return loaded, bound, top, now
}

// find adds those of rows that the hot set does not hold and that still exist.
func (a *auditor) find(ctx context.Context, p int, rows []task.Row) {
	refs := make([]task.Ref, len(rows))
	for i, r := range rows {
		refs[i] = r.Ref
	}
	failpoint.Hit("audit/find")
	found, err := a.set.Find(ctx, p, refs)
	if err != nil {
		a.report.Error("audit", err, "audited again", "partition", p)
		return
	}
	var missing []task.Row
	for i, f := range found {
		if f.Answer == task.Absent || f.Answer == task.Orphan {
			missing = append(missing, rows[i])
		}
	}
	for rows := range slices.Chunk(missing, pageRows) {
		a.bring(ctx, p, rows)
	}
}

// bring reads which of rows still stand, and adds them.
func (a *auditor) bring(ctx context.Context, p int, rows []task.Row) {
	failpoint.Hit("audit/add")
	asOf, stand, err := a.again(ctx, p, rows)
	if err == nil && len(stand) > 0 {
		var n int
		n, err = a.add(ctx, p, asOf, stand)
		failpoint.Hit("audit/end")
		a.counts.finds.Add(uint64(n))
		if n > 0 {
			a.report.Info("audit found tasks that the hot set did not hold", "partition", p, "tasks", n)
		}
	}
	a.report.Error("add what the audit found", err, "audited again", "partition", p)
}
