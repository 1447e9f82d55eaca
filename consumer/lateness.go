package consumer

import (
	"math"
	"sort"
	"time"
)

// LatenessBounds are the upper bounds of the lateness histogram with fixed buckets. The median is below 1 ms.
var LatenessBounds = []time.Duration{
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 10 * time.Minute, time.Hour,
}

const (
	// LatenessSchema is the schema of the lateness histogram with exponential buckets: each bound is 2^(1/8), 1.09 times, the
	// one before, which is what a NativeHistogramBucketFactor of 1.1 gives.
	LatenessSchema = 3
	// LatenessZeroThreshold is up to where a delivery counts as not late at all, 2^-20 s, about 1 us: the hot set's clock has no
	// smaller step.
	LatenessZeroThreshold = 1.0 / (1 << 20)

	perOctave = 1 << LatenessSchema
	firstExp  = -20*perOctave + 1 // the bucket above LatenessZeroThreshold
	lastExp   = 24 * perOctave    // 2^24 s, 194 days: what is later counts as that
)

// octave are the bounds of the buckets between 0.5 and 1, as math.Frexp parts a number.
var octave = func() (bounds [perOctave]float64) {
	for i := range bounds {
		bounds[i] = math.Exp2(float64(i)/perOctave - 1)
	}
	return bounds
}()

// exponential returns the index of the bucket of late: it holds what is above 2^((index-1)/8) s, up to 2^(index/8) s. False: late is
// in the zero bucket.
func exponential(late time.Duration) (index int, ok bool) {
	seconds := late.Seconds()
	if seconds <= LatenessZeroThreshold {
		return 0, false
	}
	frac, exp := math.Frexp(seconds)
	return min(sort.SearchFloat64s(octave[:], frac)+(exp-1)*perOctave, lastExp), true
}

// lateness counts first deliveries by how late they were, twice: in fixed buckets and in exponential ones. Under Consumer.mu.
type lateness struct {
	fixed [32]uint64 // by LatenessBounds, the one after them holds all others
	zero  uint64
	exp   [lastExp - firstExp + 1]uint64
	sum   time.Duration
}

func (l *lateness) add(late time.Duration) {
	late = max(late, 0) // a clock that was set
	l.fixed[sort.Search(len(LatenessBounds), func(i int) bool { return late <= LatenessBounds[i] })]++
	l.sum += late
	if i, ok := exponential(late); ok {
		l.exp[i-firstExp]++
	} else {
		l.zero++
	}
}

// fill puts what was counted into f.
func (l *lateness) fill(f *Figures) {
	f.Lateness = append([]uint64(nil), l.fixed[:len(LatenessBounds)+1]...)
	f.LatenessSum, f.LatenessZero = l.sum, l.zero
	f.LatenessExp = map[int]int64{}
	for i, n := range l.exp {
		if n > 0 {
			f.LatenessExp[firstExp+i] = int64(n)
		}
	}
}
