package throughput_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/metrics/throughput"
)

var noon = time.Date(2026, 12, 24, 12, 0, 0, 0, time.UTC)

// at is noon and some seconds.
func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// told is what a worker tells of itself some seconds after noon: how many tasks it has confirmed, each of which was 1 s late.
func told(id string, seconds int, confirmed uint64) triggerhook.WorkerInfo {
	return triggerhook.WorkerInfo{ID: id, Name: "name of " + id, Started: noon.Add(-time.Hour), Seen: at(seconds), Stats: triggerhook.ProcessStats{
		Figures: consumer.Figures{Confirmed: confirmed, LatenessExp: map[int]int64{0: int64(confirmed)}, InHand: 2}}}
}

// Each rule of the package comment, by what a Meter says after some reports.
func TestAMeterKeepsItsRules(t *testing.T) {
	unread := triggerhook.WorkerInfo{ID: "a", Seen: at(9)}
	for name, c := range map[string]struct {
		adds  [][]triggerhook.WorkerInfo
		rate  float64
		known bool
		sum   uint64
	}{
		"nothing":     {[][]triggerhook.WorkerInfo{{}}, 0, true, 0},
		"first sight": {[][]triggerhook.WorkerInfo{{told("a", 0, 100)}}, 0, false, 100},
		"a rate":      {[][]triggerhook.WorkerInfo{{told("a", 0, 100)}, {told("a", 2, 110)}}, 5, true, 110},
		"told twice":  {[][]triggerhook.WorkerInfo{{told("a", 0, 100)}, {told("a", 2, 110)}, {told("a", 2, 110)}}, 5, true, 110},
		"two workers": {[][]triggerhook.WorkerInfo{{told("a", 0, 100), told("b", 1, 1)}, {told("a", 2, 110), told("b", 3, 7)}}, 8, true, 117},
		"the last five seconds": {[][]triggerhook.WorkerInfo{{told("a", 0, 0)}, {told("a", 3, 3)}, {told("a", 6, 6)}, {told("a", 9, 36)}, {told("a", 12, 66)}},
			10, true, 66},
		"it starts again": {[][]triggerhook.WorkerInfo{{told("a", 0, 100)}, {told("a", 2, 110)}, {told("a2", 4, 3)}}, 0, false, 113},
		"it vanishes":     {[][]triggerhook.WorkerInfo{{told("a", 0, 100), told("b", 0, 0)}, {told("a", 2, 110), told("b", 2, 2)}, {told("b", 4, 4)}}, 1, true, 114},
		"all vanish":      {[][]triggerhook.WorkerInfo{{told("a", 0, 100)}, {told("a", 2, 110)}, {}}, 0, true, 110},
		"it comes back":   {[][]triggerhook.WorkerInfo{{told("a", 0, 100)}, {}, {told("a", 8, 140)}}, 5, true, 140},
		"after a gap":     {[][]triggerhook.WorkerInfo{{told("a", 0, 100)}, {told("a", 3600, 3700)}}, 0, false, 3700},
		"and on":          {[][]triggerhook.WorkerInfo{{told("a", 0, 100)}, {told("a", 3600, 3700)}, {told("a", 3602, 3702)}}, 1, true, 3702},
		"it falls":        {[][]triggerhook.WorkerInfo{{told("a", 0, 100)}, {told("a", 2, 90)}}, 0, true, 100},
		"unread":          {[][]triggerhook.WorkerInfo{{told("a", 0, 100)}, {told("a", 2, 110)}, {unread}, {told("a", 12, 160)}}, 5, true, 160},
		"one is new":      {[][]triggerhook.WorkerInfo{{told("a", 0, 100)}, {told("a", 2, 110), told("b", 2, 1)}}, 5, true, 111},
		"on after an old": {[][]triggerhook.WorkerInfo{{told("a", 2, 110)}, {told("a", 0, 100)}, {told("a", 4, 120)}}, 5, true, 120},
		"an old report":   {[][]triggerhook.WorkerInfo{{told("a", 2, 110)}, {told("a", 0, 100)}}, 0, false, 110},
	} {
		var m throughput.Meter
		var f throughput.Figures
		for i, workers := range c.adds {
			f = m.Add(at(2*i), workers)
		}
		if math.Abs(f.Rates.Confirmed-c.rate) > 1e-9 || f.Known != c.known || f.Sum.Confirmed != c.sum || f.Lateness.Count() != int64(c.sum) {
			t.Errorf("%s: %v confirmed a second (known: %v), %d in all, lateness of %d; want %v (%v), %d", name, f.Rates.Confirmed, f.Known, f.Sum.Confirmed,
				f.Lateness.Count(), c.rate, c.known, c.sum)
		}
		if last := c.adds[len(c.adds)-1]; len(f.Workers) != len(last) || f.Holding.InHand != int64(2*len(last)) && name != "unread" {
			t.Errorf("%s: %d workers that hold %+v, want %d with 2 tasks each", name, len(f.Workers), f.Holding, len(last))
		}
	}
}

// A worker that is away for more than an hour is forgotten, so that a Meter does not grow.
func TestAVanishedWorkerIsForgottenAfterAnHour(t *testing.T) {
	var m throughput.Meter
	m.Add(at(0), []triggerhook.WorkerInfo{told("a", 0, 100)})
	m.Add(at(10), nil)
	if f := m.Add(at(3600), []triggerhook.WorkerInfo{told("a", 3600, 101)}); f.Sum.Confirmed != 101 {
		t.Errorf("after 50 minutes it is counted anew: %d", f.Sum.Confirmed)
	}
	m.Add(at(3700), nil)
	if f := m.Add(at(3701), []triggerhook.WorkerInfo{told("a", 3701, 101)}); f.Sum.Confirmed != 101 {
		t.Errorf("after it has come back and been away for a second it is counted anew: %d", f.Sum.Confirmed)
	}
	m.Add(at(3710), nil)
	m.Add(at(7320), nil)
	if f := m.Add(at(7321), []triggerhook.WorkerInfo{told("a", 7321, 5)}); f.Sum.Confirmed != 106 {
		t.Errorf("after more than an hour it is still known: %d in all", f.Sum.Confirmed)
	}
}

// Whatever workers tell, and whichever of them vanish, start again or come back: no rate is negative, no sum falls, and the sum is what
// all of them have counted.
func TestNoRateIsNegativeAndNoSumFalls(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var m throughput.Meter
		counted, seen, lives := map[string]uint64{}, map[string]uint64{}, map[int]int{}
		var before uint64
		for now := range rapid.IntRange(1, 30).Draw(rt, "reports") {
			var workers []triggerhook.WorkerInfo
			for w := range 3 {
				switch rapid.IntRange(0, 4).Draw(rt, "what") {
				case 0:
					continue // it is not told of
				case 1:
					lives[w]++ // it starts again
				}
				id := fmt.Sprint(w, ".", lives[w])
				counted[id] += uint64(rapid.IntRange(0, 9).Draw(rt, "done"))
				seen[id] = counted[id]
				workers = append(workers, told(id, 2*now+1, counted[id]))
			}
			f := m.Add(at(2*now), workers)
			var want uint64
			for _, n := range seen {
				want += n
			}
			if f.Rates.Confirmed < 0 || f.Sum.Confirmed < before || f.Sum.Confirmed != want || f.Lateness.Count() != int64(want) {
				rt.Fatalf("%v a second, %d in all after %d, want %d", f.Rates.Confirmed, f.Sum.Confirmed, before, want)
			}
			before = f.Sum.Confirmed
		}
	})
}

// Failed are deliveries that failed, whatever became of their tasks.
func TestWhatIsCounted(t *testing.T) {
	w := told("a", 0, 1)
	w.Stats.Created, w.Stats.Preloaded, w.Stats.Delivered, w.Stats.RolledBack, w.Stats.Snoozed, w.Stats.Exhausted, w.Stats.Discarded, w.Stats.Expired = 2, 4, 8, 16, 32, 64, 128, 256
	var m throughput.Meter
	if got, want := m.Add(at(0), []triggerhook.WorkerInfo{w}).Sum, (throughput.Counters{Created: 2, Preloaded: 4, Delivered: 8, Confirmed: 1, Failed: 16 + 64 + 128, Again: 16 + 32, Dead: 64 + 128 + 256}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestQuantilesAreWithinABucketOfTheTruth(t *testing.T) {
	h := throughput.Histogram{Exp: map[int]int64{}}
	for ms := 1; ms <= 1000; ms++ {
		h.Exp[int(math.Ceil(math.Log2(float64(ms)/1000)*(1<<consumer.LatenessSchema)))]++
	}
	for _, share := range []float64{0.5, 0.9, 0.99, 0.999} {
		if off := h.Quantile(share).Seconds() / share; off < 0.92 || off > 1.09 {
			t.Errorf("quantile %v is %v, want about %v s", share, h.Quantile(share), share)
		}
	}
	if q := (throughput.Histogram{Zero: 9, Exp: map[int]int64{0: 1}}).Quantile(0.5); q != 0 {
		t.Errorf("the median of deliveries that were not late is %v", q)
	}
	if q := (throughput.Histogram{}).Quantile(0.99); q != 0 {
		t.Errorf("a quantile of nothing is %v", q)
	}
}

// What a Meter has returned does not change when more is added.
func TestFiguresStay(t *testing.T) {
	var m throughput.Meter
	first := m.Add(at(0), []triggerhook.WorkerInfo{told("b", 0, 1), told("a", 0, 1)})
	m.Add(at(2), []triggerhook.WorkerInfo{told("a", 2, 50)})
	if first.Lateness.Count() != 2 || first.Sum.Confirmed != 2 || !slices.IsSortedFunc(first.Workers, func(a, b throughput.Worker) int { return len(a.ID) - len(b.ID) }) || first.Workers[0].ID != "a" {
		t.Errorf("the figures of before are %+v now, want a and b with 1 task each", first)
	}
}
