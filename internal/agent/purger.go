package agent

import (
	"context"
	"time"
)

const (
	// purgeEvery is how often the purger looks for history that is older than its retention.
	purgeEvery = time.Minute
	// purgeRows is how many rows of the history one round deletes at most. If there may be more the next round comes after as long as this
	// one took, at least purgeRest.
	purgeRows = 1000
	purgeRest = 10 * time.Millisecond
)

// purger deletes history that is older than its retention. It runs beside the auditor, in the process that holds that role, so that a
// long purge holds up no audit. Two purgers at once do no harm.
type purger struct{ o Options }

func newPurger(o Options) *purger { return &purger{o} }

// round makes one commit, and returns when to come again.
func (p *purger) round(ctx context.Context) time.Duration {
	began := time.Now()
	n, err := p.purge(ctx)
	p.o.Counts.Purged.Add(uint64(n))
	if err != nil {
		p.o.Report.Error("purge the history", err, "purged again in a minute")
	}
	if err != nil || n < purgeRows {
		return purgeEvery
	}
	return max(purgeRest, time.Since(began))
}

// purge deletes up to purgeRows rows that are older than the retention, and returns how many it has deleted.
func (p *purger) purge(ctx context.Context) (int, error) {
	now, err := p.o.Set.Clock(ctx, 0)
	if err != nil {
		return 0, err
	}
	before := now.TimeUS/1000 - p.o.Retention.Milliseconds()
	if before <= 0 {
		return 0, nil
	}
	return p.o.History.PurgeHistory(ctx, before, purgeRows)
}
