package history

import "slices"

// pauseSlack is for how long before a pause a fault may still keep a worker from the records of the durable store, in microseconds.
const pauseSlack = 3_000_000

// pause is a time in which nothing may be claimed: from the answer of Pause to the call of Resume.
type pause struct{ begin, end int64 }

// inPause: no claim that was sent after a Pause had returned takes anything before Resume is called. A worker that a fault keeps from the
// servers at that time may not have heard of the pause, so what it claims is not judged.
func (c *check) inPause(s *story) {
	for _, taken := range s.claims {
		for _, p := range c.pauses {
			if taken.began > p.begin && taken.end < p.end && !c.disturbed(p.begin-pauseSlack, taken.end) {
				c.broke(Paused, s, taken.end, "%s claimed it %.3f ms after Pause had returned", taken.who, ms(taken.began-p.begin))
			}
		}
	}
}

// disturbed reports whether a fault between these times keeps workers from a server, or loses answers or data.
func (c *check) disturbed(from, to int64) bool {
	return slices.ContainsFunc(c.faults, func(f *fault) bool { return (f.parts || f.blurs || f.loses) && f.begin < to && f.end > from })
}
