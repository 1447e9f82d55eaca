// Package metrics is a Prometheus collector of a Scheduler's Stats.
//
// All metrics have the labels namespace and scheduler. The latter is "1" for the first
// collector that this process makes for a namespace, "2" for the second, and so on. So
// several Schedulers of a namespace, or one that is made anew, share a registry. It tells the
// collectors of one process apart and means nothing else: queries aggregate it away.
//
//	sum without (scheduler) (rate(triggerhook_confirmed_total[1m]))  counters, histograms, gauges of the process
//	max without (scheduler) (triggerhook_namespace_tasks)            gauges of the namespace, which all show alike
//
// Make one collector for each Scheduler: a second one counts the same again. Unregister it when
// its Scheduler has ended: keep what NewCollector returned, for another collector has another
// number.
package metrics

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triggerhook/triggerhook"
)

// scrapeTimeout bounds what a scrape waits for the stores.
const scrapeTimeout = 2 * time.Second

// Collector reads Stats at each scrape. Counters and histograms are of its
// Scheduler; the gauges named triggerhook_namespace_ are of all processes, and are
// left out of a scrape when a store does not answer.
type Collector struct {
	s        *triggerhook.Scheduler
	counters []counter
	gauges   []gauge
	forecast *prometheus.Desc
	errors   *prometheus.Desc
	late     *prometheus.Desc
}

type counter struct {
	desc *prometheus.Desc
	read func(triggerhook.ProcessStats) uint64
}

type gauge struct {
	desc      *prometheus.Desc
	namespace bool
	read      func(triggerhook.Stats) float64
}

// made counts the collectors of each namespace that this process has made.
var made = struct {
	sync.Mutex
	of map[string]int
}{of: map[string]int{}}

// number returns the number of the next collector of a namespace, from 1 on.
func number(namespace string) string {
	made.Lock()
	defer made.Unlock()
	made.of[namespace]++
	return strconv.Itoa(made.of[namespace])
}

// NewCollector returns a collector of s. All its metrics have the labels namespace and
// scheduler. No other collector of this process has the same value of scheduler, so one registry
// may have any number of collectors of one namespace.
func NewCollector(s *triggerhook.Scheduler) *Collector {
	type P = triggerhook.ProcessStats
	type S = triggerhook.Stats
	labels := prometheus.Labels{"namespace": s.Namespace(), "scheduler": number(s.Namespace())}
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc("triggerhook_"+name, help, more, labels)
	}
	return &Collector{
		s:        s,
		forecast: desc("namespace_forecast", "Tasks that fall due within that time; where more than 10,000 of them lie beyond the hot set an estimate.", "within"),
		errors:   desc("errors_total", "Errors that no caller was told, by kind.", "kind"),
		late:     desc("lateness_seconds", "How late first deliveries were."),
		counters: []counter{
			{desc("created_total", "Tasks created."), func(p P) uint64 { return p.Created }},
			{desc("deleted_total", "Tasks deleted by their caller."), func(p P) uint64 { return p.Deleted }},
			{desc("rescheduled_total", "Tasks whose due time, payload or headers their caller has changed."), func(p P) uint64 { return p.Rescheduled }},
			{desc("exhausted_total", "Tasks that became dead letters after their last attempt."), func(p P) uint64 { return p.Exhausted }},
			{desc("discarded_total", "Tasks that became dead letters because their handler gave them up."), func(p P) uint64 { return p.Discarded }},
			{desc("expired_total", "Tasks that became dead letters because they had expired."), func(p P) uint64 { return p.Expired }},
			{desc("requeued_total", "Dead letters made tasks again."), func(p P) uint64 { return p.Requeued }},
			{desc("preloaded_total", "Tasks that the feeder, Create and Reschedule took into the hot set."), func(p P) uint64 { return p.Preloaded }},
			{desc("delivered_total", "Deliveries sent by Consume."), func(p P) uint64 { return p.Delivered }},
			{desc("confirmed_total", "Tasks confirmed."), func(p P) uint64 { return p.Confirmed }},
			{desc("rolled_back_total", "Deliveries rolled back."), func(p P) uint64 { return p.RolledBack }},
			{desc("snoozed_total", "Deliveries that a Snooze has postponed."), func(p P) uint64 { return p.Snoozed }},
			{desc("redelivered_total", "Deliveries that were not a task's first."), func(p P) uint64 { return p.Redelivered }},
			{desc("timed_out_total", "Deliveries that took longer than DeliveryTimeout."), func(p P) uint64 { return p.TimedOut }},
			{desc("leases_lost_total", "Batches whose lease this process lost."), func(p P) uint64 { return p.LeasesLost }},
			{desc("rebuilds_total", "Generations of the hot set begun."), func(p P) uint64 { return p.Rebuilds }},
			{desc("audit_finds_total", "Tasks that the hot set had lost and the auditor found."), func(p P) uint64 { return p.AuditFinds }},
			{desc("history_purged_total", "Ends of tasks that were deleted from the history because they were older than its retention."), func(p P) uint64 { return p.Purged }},
			{desc("scanned_rows_total", "Rows that feeder and auditor read."), func(p P) uint64 { return p.Scanned }},
		},
		gauges: []gauge{
			{desc("namespace_tasks", "Unfinished tasks; above 100,000 an estimate."), true, func(s S) float64 { return float64(s.Namespace.Tasks) }},
			{desc("namespace_preloaded", "Tasks that wait in the hot set."), true, func(s S) float64 { return float64(s.Namespace.Preloaded) }},
			{desc("namespace_due", "Tasks that are due and wait for sending."), true, func(s S) float64 { return float64(s.Namespace.Due) }},
			{desc("namespace_oldest_due_seconds", "For how long the first of the tasks that are due has waited."), true, func(s S) float64 { return s.Namespace.OldestDue.Seconds() }},
			{desc("namespace_loaded_ahead_seconds", "How far ahead of now the hot set has all tasks; not above 0 if no feeder works."), true, func(s S) float64 { return s.Namespace.LoadedAhead.Seconds() }},
			{desc("namespace_in_flight", "Tasks claimed by workers."), true, func(s S) float64 { return float64(s.Namespace.InFlight) }},
			{desc("namespace_dead", "Dead letters; above 10,000 an estimate."), true, func(s S) float64 { return float64(s.Namespace.Dead) }},
			{desc("namespace_paused", "1 while a Pause keeps tasks from being delivered, otherwise 0."), true, func(s S) float64 {
				if s.Namespace.Pause.Paused() {
					return 1
				}
				return 0
			}},
			{desc("queued", "Claimed tasks that wait in this process."), false, func(s S) float64 { return float64(s.Process.Queued) }},
			{desc("unconfirmed", "Deliveries that wait for confirmation: in hand or confirming."), false,
				func(s S) float64 { return float64(s.Process.InHand + s.Process.Confirming) }},
			{desc("in_hand", "Deliveries in consumers' hands."), false, func(s S) float64 { return float64(s.Process.InHand) }},
			{desc("stuck_handlers", "Handlers that have run for longer than DeliveryTimeout."), false, func(s S) float64 { return float64(s.Process.Stuck) }},
			{desc("confirming", "Answers of consumers that wait for the stores."), false, func(s S) float64 { return float64(s.Process.Confirming) }},
			{desc("clock_offset_seconds", "Clock of the hot set minus this process's."), false, func(s S) float64 { return s.Process.ClockOffset.Seconds() }},
		},
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.counters {
		ch <- m.desc
	}
	for _, m := range c.gauges {
		ch <- m.desc
	}
	ch <- c.forecast
	ch <- c.errors
	ch <- c.late
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	st, err := c.s.Stats(ctx)
	for _, m := range c.counters {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.read(st.Process)))
	}
	for _, m := range c.gauges {
		if err == nil || !m.namespace {
			ch <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.read(st))
		}
	}
	for _, f := range st.Namespace.Forecast {
		if err == nil {
			ch <- prometheus.MustNewConstMetric(c.forecast, prometheus.GaugeValue, float64(f.Tasks), short(f.Within))
		}
	}
	for kind, n := range st.Process.Errors {
		ch <- prometheus.MustNewConstMetric(c.errors, prometheus.CounterValue, float64(n), kind)
	}
	late, err := newLateness(c.late, st.Process)
	if err != nil {
		late = prometheus.NewInvalidMetric(c.late, err)
	}
	ch <- late
}

// short writes a time without the units that are zero at its end: 1m, 24h.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-len(zero)+1]
		}
	}
	return text
}
