package triggerhook

import (
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// limits are the limits of the namespace as each partition has its share of them.
type limits struct {
	interval    time.Duration   // between two claimed members of a partition; 0: no limit
	maxInFlight func(p int) int // members of a partition that are claimed at a time; nil: no limit
}

// limits parts NamespaceRate and MaxInFlight among the partitions.
func (o Options) limits(parts int) (l limits) {
	if o.NamespaceRate > 0 {
		l.interval = task.RateInterval(o.NamespaceRate / float64(parts))
	}
	if most := o.MaxInFlight; most > 0 {
		l.maxInFlight = func(p int) int { return (most + parts - 1 - p) / parts }
	}
	return l
}

// checkShares refuses limits of which a partition would have no share.
func (o Options) checkShares(parts int) error {
	if o.MaxInFlight > 0 && o.MaxInFlight < parts {
		return fmt.Errorf("%w: Options.MaxInFlight is %d, and each of the %d partitions needs a share of at least 1", task.ErrInvalid, o.MaxInFlight, parts)
	}
	return nil
}
