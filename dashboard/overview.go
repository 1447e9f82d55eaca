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
	Partitions partitionsView
}

func overviewOf(s *sample, l *load) overviewView {
	return overviewView{lifeOf(s), latenessOf(s.lateness), loadOf(l), partitionsOf(l)}
}

// lifeView is the life of tasks as one picture.
type lifeView struct {
	At     time.Time
	Error  string
	Pause  triggerhook.PauseStatus
	Stages []stage
	Dead   stage
	Back   string // how many are offered again a second
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

// rates are how many a second, by two samples.
type rates struct {
	before, now triggerhook.ProcessStats
	seconds     float64
}

func (r rates) of(get func(triggerhook.ProcessStats) uint64) float64 {
	was, is := get(r.before), get(r.now)
	if r.seconds <= 0 || is < was {
		return 0
	}
	return float64(is-was) / r.seconds
}

// into fills in how many a second come into a stage.
func (g stage) into(verb string, perSecond float64) stage {
	g.In, g.Moving = rate(perSecond)+" "+verb, perSecond > 0
	return g
}

func lifeOf(s *sample) lifeView {
	n, p := s.stats.Namespace, s.stats.Process
	r := rates{s.before.Process, p, s.at.Sub(s.beforeAt).Seconds()}
	if s.beforeAt.IsZero() {
		r.seconds = 0
	}
	v := lifeView{At: s.at, Pause: n.Pause, Queued: int(p.Queued), Stuck: int(p.Stuck)}
	if s.err != nil {
		v.Error = s.err.Error()
	}
	if o := p.ClockOffset; o > time.Second || o < -time.Second {
		v.Offset = o.Round(10 * time.Millisecond).String()
	}
	if p.LeasesLost > 0 {
		v.Forget = num(p.LeasesLost)
	}
	preloaded := r.of(func(p triggerhook.ProcessStats) uint64 { return p.Preloaded })
	delivered := r.of(func(p triggerhook.ProcessStats) uint64 { return p.Delivered })
	confirmed := r.of(func(p triggerhook.ProcessStats) uint64 { return p.Confirmed })
	v.Stages = []stage{
		stage{Key: "stored", Name: "Stored", Note: "not in the hot set yet", Count: about(max(0, n.Tasks-n.Preloaded-n.InFlight), n.Estimated), Onward: preloaded > 0}.
			into("created", r.of(func(p triggerhook.ProcessStats) uint64 { return p.Created })),
		stage{Key: "preloaded", Name: "Preloaded", Note: "in the hot set, not due yet", Count: num(max(0, n.Preloaded-n.Due)), Onward: delivered > 0}.into("preloaded", preloaded),
		{Key: "due", Name: "Due", Note: "waiting for a worker", Count: num(n.Due), Onward: delivered > 0},
		stage{Key: "hand", Name: "In hand", Note: "claimed by workers", Count: num(n.InFlight), Onward: confirmed > 0}.into("delivered", delivered),
		{Key: "confirming", Name: "Confirming", Note: "in this process", Count: num(p.Confirming), Onward: confirmed > 0},
		stage{Key: "done", Name: "Done", Note: "by this process", Count: num(p.Confirmed)}.into("confirmed", confirmed),
	}
	v.Dead = stage{Key: "dead", Name: "Dead letters", Note: "ended without success", Count: about(n.Dead, n.DeadEstimated)}.
		into("died", r.of(func(p triggerhook.ProcessStats) uint64 { return p.Exhausted + p.Discarded + p.Expired }))
	v.Back = rate(r.of(func(p triggerhook.ProcessStats) uint64 { return p.RolledBack + p.Snoozed }))
	return v
}

// partitionsView is what the partitions of the hot set hold.
type partitionsView struct {
	Error string
	Rows  []partitionRow
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

func partitionsOf(l *load) (v partitionsView) {
	if l == nil {
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
