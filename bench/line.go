package main

import (
	"slices"
	"time"
)

// line is one result. What a system does not have (statements of MySQL where there
// is none) is null. The figures of a line with Cannot are 0, as are percentiles of what
// is measured as a whole.
type line struct {
	Scenario           string             `json:"scenario"`
	Variant            string             `json:"variant,omitempty"`
	System             string             `json:"system"`
	N                  int                `json:"n"`
	Workers            int                `json:"workers"`
	Payload            int                `json:"payload"`
	RTTMS              float64            `json:"rtt_ms"`
	Partitions         int                `json:"partitions,omitempty"` // 0: one
	RatePerS           float64            `json:"rate_per_s"`
	MeanMS             float64            `json:"mean_ms"`
	P50MS              float64            `json:"p50_ms"`
	P99MS              float64            `json:"p99_ms"`
	P999MS             float64            `json:"p999_ms"`
	MaxMS              float64            `json:"max_ms"`
	CPUS               float64            `json:"cpu_s"` // of the clients and the servers
	AllocBytesPerTask  float64            `json:"alloc_bytes_per_task"`
	RedisCmdsPerTask   *float64           `json:"redis_cmds_per_task"`
	RedisUSPerTask     *float64           `json:"redis_us_per_task"`
	MySQLStmtsPerTask  *float64           `json:"mysql_stmts_per_task"`
	RSSMB              float64            `json:"rss_mb"` // the most that the measuring process, or the largest worker, had
	Versions           map[string]string  `json:"versions"`
	Cores              int                `json:"cores"`
	Duplicates         int64              `json:"duplicates"`
	Run                int                `json:"run"`
	CPUBy              map[string]float64 `json:"cpu_by,omitempty"`                // cpu_s by where it went
	FirstMS            *float64           `json:"first_ms,omitempty"`              // of what p50_ms is the median of
	IdleRedisCmdsPerS  *float64           `json:"idle_redis_cmds_per_s,omitempty"` // while nothing is due
	IdleMySQLStmtsPerS *float64           `json:"idle_mysql_stmts_per_s,omitempty"`
	IdleCPUMSPerS      *float64           `json:"idle_cpu_ms_per_s,omitempty"` // of all processes
	GapMS              *float64           `json:"gap_ms,omitempty"`            // the longest time without a delivery while some were due
	CreateP50MS        *float64           `json:"create_p50_ms,omitempty"`     // how long a call took that created a task, where deliveries are measured
	CreateP99MS        *float64           `json:"create_p99_ms,omitempty"`
	QuantilesMS        []float64          `json:"quantiles_ms,omitempty"` // at the parts in quantiles
	Rows               int                `json:"rows,omitempty"`         // that stand in the store besides
	Series             []point            `json:"series,omitempty"`
	Day                string             `json:"day,omitempty"`       // when it was measured
	Unflushed          bool               `json:"unflushed,omitempty"` // durable stores do not flush at each commit
	Build              string             `json:"build,omitempty"`     // of two that are compared
	Cannot             string             `json:"cannot,omitempty"`    // why this system has no figures here
}

// figures are those of which runs have medians; nil: this system has none.
func (l *line) figures() []*float64 {
	all := []*float64{&l.RatePerS, &l.MeanMS, &l.P50MS, &l.P99MS, &l.P999MS, &l.MaxMS, &l.CPUS, &l.AllocBytesPerTask, &l.RSSMB}
	for _, p := range l.optional() {
		all = append(all, *p)
	}
	for i := range quantiles {
		if len(l.QuantilesMS) == len(quantiles) {
			all = append(all, &l.QuantilesMS[i])
		} else {
			all = append(all, nil)
		}
	}
	return all
}

// optional are the figures that not every line has.
func (l *line) optional() []**float64 {
	return []**float64{&l.RedisCmdsPerTask, &l.RedisUSPerTask, &l.MySQLStmtsPerTask, &l.FirstMS, &l.IdleRedisCmdsPerS, &l.IdleMySQLStmtsPerS,
		&l.IdleCPUMSPerS, &l.GapMS, &l.CreateP50MS, &l.CreateP99MS}
}

// quantiles are the parts of all tasks for which a line with a distribution has figures: what a plot of percentiles needs.
var quantiles = []float64{0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1}

// clone copies l with the figures that it points to.
func (l line) clone() line {
	l.QuantilesMS = slices.Clone(l.QuantilesMS)
	for _, p := range l.optional() {
		if *p != nil {
			v := **p
			*p = &v
		}
	}
	return l
}

// point is one of a backlog's tenths.
type point struct {
	Done     int     `json:"done"`
	AtS      float64 `json:"at_s"`
	RatePerS float64 `json:"rate_per_s"`
	RedisMB  float64 `json:"redis_mb"` // the most that Redis held until then
	Purge    float64 `json:"purge"`    // undo logs that MySQL has still to purge
}

// spread puts the percentiles of d and their mean into l, and the first one if it is asked for.
func (l *line) spread(d []time.Duration, first bool) {
	slices.Sort(d)
	sum := time.Duration(0)
	for _, v := range d {
		sum += v
	}
	l.MeanMS, l.QuantilesMS = ms(sum/time.Duration(max(len(d), 1))), nil
	for _, q := range quantiles {
		l.QuantilesMS = append(l.QuantilesMS, ms(quantile(d, q)))
	}
	l.P50MS, l.P99MS, l.P999MS, l.MaxMS = ms(quantile(d, 0.5)), ms(quantile(d, 0.99)), ms(quantile(d, 0.999)), ms(quantile(d, 1))
	if first && len(d) > 0 {
		v := ms(d[0])
		l.FirstMS = &v
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quantile is the smallest of sorted values that at least the part q of all do not
// exceed; 0 if there are none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q * float64(len(sorted)))
	if float64(i) == q*float64(len(sorted)) {
		i--
	}
	return sorted[min(max(i, 0), len(sorted)-1)]
}

func perSecond(n int, d time.Duration) float64 {
	return float64(n) / max(d, time.Microsecond).Seconds()
}

// spreadCreates puts the percentiles of d, how long calls of Create took, into l.
func (l *line) spreadCreates(d []time.Duration) {
	slices.Sort(d)
	p50, p99 := ms(quantile(d, 0.5)), ms(quantile(d, 0.99))
	l.CreateP50MS, l.CreateP99MS = &p50, &p99
}
