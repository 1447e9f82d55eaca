package dashboard

import (
	"net/http"
	"strconv"
	"time"

	"github.com/triggerhook/triggerhook"
)

// overview shows the life of tasks, how late they are, and what is to come.
func (d *dashboard) overview(w http.ResponseWriter, r *http.Request) error {
	s, err := d.hub.look(r.Context(), sampleEvery)
	if err != nil {
		return err
	}
	return d.show(w, r, http.StatusOK, "overview", page{Title: "Overview", Current: "overview", Body: overviewOf(s, d.hub.await(r.Context()))})
}

// overviewView is the body of the overview. Each of its fields is a fragment of its own.
type overviewView struct {
	Life       lifeView
	Lateness   latenessView
	Load       loadView
	Workers    workersView
	Partitions partitionsView
}

func overviewOf(s *sample, l *load) overviewView {
	return overviewView{lifeOf(s), latenessOf(s.fleet), loadOf(l), workersOf(s.fleet), partitionsOf(l, s.fleet)}
}

// lifeView is the life of tasks as one picture.
type lifeView struct {
	At     time.Time
	Error  string
	Pause  triggerhook.PauseStatus
	Stages []stage
	Dead   stage
	Back   string // how many are offered again a second; empty: not known
	Queued int
	Stuck  int
	Offset string // of the clock; empty: it is small
	Forget string // of the leases that were lost; empty: none
}

// stage is one place in the life of a task.
type stage struct {
	Key, Name, Note string
	Count           string
	In              string // what comes into it, and how many a second; empty: not known
	Moving          bool   // something does
	Onward          bool   // something goes on from it to the next one
}

// into fills in how many a second come into a stage, if that is known.
func (g stage) into(verb string, perSecond float64, known bool) stage {
	if known {
		g.In, g.Moving = rate(perSecond)+" "+verb, perSecond > 0
	}
	return g
}

func lifeOf(s *sample) lifeView {
	n := s.stats.Namespace
	v := lifeView{At: s.at, Pause: n.Pause, Offset: clockOffset(s.stats.Process.ClockOffset)}
	if s.err != nil {
		v.Error = s.err.Error()
	}
	f := s.fleet
	if f == nil {
		f = &fleet{}
	}
	v.Queued, v.Stuck = int(f.Holding.Queued), int(f.Holding.Stuck)
	lost := uint64(0)
	for _, w := range f.Workers {
		lost += w.Stats.LeasesLost
	}
	if lost > 0 {
		v.Forget = num(lost)
	}
	v.stages(n, f)
	return v
}

// stages are what a namespace holds at each place, and what the workers do there.
func (v *lifeView) stages(n triggerhook.NamespaceStats, f *fleet) {
	confirming, done, r := "–", "–", f.Rates
	if !f.at.IsZero() {
		confirming, done = num(f.Holding.Confirming), num(f.Sum.Confirmed)
	}
	v.Stages = []stage{
		stage{Key: "stored", Name: "Stored", Note: "not in the hot set yet", Count: about(max(0, n.Tasks-n.Preloaded-n.InFlight), n.Estimated), Onward: r.Preloaded > 0}.
			into("created", r.Created, f.Known),
		stage{Key: "preloaded", Name: "Preloaded", Note: "in the hot set, not due yet", Count: num(max(0, n.Preloaded-n.Due)), Onward: r.Delivered > 0}.into("preloaded", r.Preloaded, f.Known),
		{Key: "due", Name: "Due", Note: "waiting for a worker", Count: num(n.Due), Onward: r.Delivered > 0},
		stage{Key: "hand", Name: "In hand", Note: "claimed by workers", Count: num(n.InFlight), Onward: r.Confirmed > 0}.into("delivered", r.Delivered, f.Known),
		{Key: "confirming", Name: "Confirming", Note: "in the workers", Count: confirming, Onward: r.Confirmed > 0},
		stage{Key: "done", Name: "Done", Note: "since the workers began", Count: done}.into("confirmed", r.Confirmed, f.Known),
	}
	v.Dead = stage{Key: "dead", Name: "Dead letters", Note: "ended without success", Count: about(n.Dead, n.DeadEstimated)}.into("died", r.Dead, f.Known)
	if f.Known {
		v.Back = rate(r.Again)
	}
}

// partitionsView is what the partitions of the hot set hold.
type partitionsView struct {
	Error  string
	Feeder string // the worker that fills them; empty: none is known
	Rows   []partitionRow
}

// partitionRow is one of them.
type partitionRow struct {
	Partition            int
	Cold                 bool
	Generation           string // a number that only tells generations apart
	Waiting, Due, Hand   string
	Behind, HorizonAhead string // how far the horizon is loaded; how far it lies ahead
	Oldest               string // how long ago the first task that waits was due
}

func partitionsOf(l *load, f *fleet) (v partitionsView) {
	if v.Feeder = feeder(f); l == nil {
		return v
	}
	if l.silent != nil {
		v.Error = l.silent.Error()
	}
	for _, p := range l.partitions {
		v.Rows = append(v.Rows, partitionRow{Partition: p.Partition, Cold: p.Generation == 0, Generation: strconv.FormatInt(p.Generation, 36), Waiting: num(p.Waiting), Due: num(p.Due),
			Hand: num(p.InFlight), Oldest: oldest(p.Oldest, l.at), HorizonAhead: span(p.Horizon.Sub(l.at)), Behind: behind(p.Horizon.Sub(p.Loaded))})
	}
	return v
}

// behind says how far the rows are loaded.
func behind(d time.Duration) string {
	if d < time.Second {
		return "all of it"
	}
	return "all but " + span(d)
}

// oldest says how late the first task is that waits.
func oldest(first, now time.Time) string {
	if d := now.Sub(first); !first.IsZero() && d >= 0 {
		return late(d)
	}
	return "–"
}
