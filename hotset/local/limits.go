package local

import (
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// take moves due members into b, as many as c and the pause of out allow, and notes in out what left no more.
func (p *partition) take(b *batch, c task.ClaimRequest, out *task.Batch) {
	ms, ahead := p.now.UnixMilli(), min(c.AheadLimit, c.Limit)
	last := ms
	if ahead > 0 {
		last += c.Ahead.Milliseconds()
	}
	due := func(by int64) bool { return p.due.len() > 0 && p.due.items[0].score <= by }
	if !due(last) || c.Limit <= 0 || out.Pause.At(p.now) {
		return
	}
	limit := min(c.Limit, chunk)
	if c.MaxInFlight > 0 {
		if left := max(0, c.MaxInFlight-(len(p.members)-p.due.len())); left < limit {
			limit, out.Full = left, true
		}
	}
	if c.Interval > 0 {
		limit = p.paced(limit, c.Interval, out)
	}
	for len(b.members) < limit && due(ms) || len(b.members) < min(limit, ahead) && due(last) {
		it := p.due.items[0]
		p.due.remove(it)
		it.batch, b.members[it.Ref] = b, it
	}
	if len(b.members) < limit { // no more was due
		out.AgainMS, out.Full = 0, false
	}
	if c.Interval > 0 {
		p.counted = p.counted.Add(time.Duration(len(b.members)) * c.Interval)
	}
}

// paced returns how many of limit members may be claimed, one each interval. Time that was not used counts for a second, or for one
// member if that is more.
func (p *partition) paced(limit int, interval time.Duration, out *task.Batch) int {
	if earliest := p.now.Add(-max(time.Second, interval)); p.counted.Before(earliest) {
		p.counted = earliest
	}
	if left := int(p.now.Sub(p.counted) / interval); left < limit {
		again := p.counted.Add(time.Duration(left+1) * interval)
		limit, out.Full, out.AgainMS = left, false, again.Add(time.Millisecond-1).UnixMilli()
	}
	return limit
}
