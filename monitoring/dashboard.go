package main

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// A query is an expression of Prometheus, and the name of what it gives. %s in it stands for the matcher of the namespace, once or
// more.
type query struct{ expr, legend string }

// A panel is one picture.
type panel struct {
	title, tells string
	unit         string
	number       bool // the last value in large figures, not lines over time
	queries      []query
}

// A row is a line of panels, of equal width.
type row struct {
	title  string
	panels []panel
}

// matcher selects the namespace that the reader of the dashboard has chosen.
const matcher = `namespace="$namespace"`

// quantile is a percentile of the lateness.
func quantile(q string) string {
	return `histogram_quantile(` + q + `, sum by (le) (rate(triggerhook_lateness_seconds_bucket{%s}[$__rate_interval])))`
}

// total is the rate of a counter, of all processes.
func total(name string) string {
	return `sum(rate(triggerhook_` + name + `_total{%s}[$__rate_interval]))`
}

// namespaced is a gauge of the namespace, which all processes show alike.
func namespaced(name string) string { return `max(triggerhook_namespace_` + name + `{%s})` }

// rows are the dashboard, from top to bottom: what users notice, what is coming, what tasks do, who works, what is wrong.
var rows = []row{
	{"What your users notice", []panel{
		{"Late by (p99)", "Of the first deliveries of the last minutes, 99 % came no later than this after their due time.", units.Seconds, true, []query{{quantile("0.99"), ""}}},
		{"Oldest task that waits", "For how long the first of the tasks that are due has waited.", units.Seconds, true, []query{{namespaced("oldest_due_seconds"), ""}}},
		{"Due", "Due, and not yet with a worker.", units.Short, true, []query{{namespaced("due"), ""}}},
		{"Dead letters", "Tasks that were given up, and wait to be requeued or purged.", units.Short, true, []query{{namespaced("dead"), ""}}},
		{"Paused", "1: no worker gets tasks.", units.NoUnit, true, []query{{namespaced("paused"), ""}}},
	}},
	{"What is coming", []panel{
		{"Tasks that fall due", "How many unfinished tasks fall due within a time from now.", units.Short, false, []query{{`max by (within) (triggerhook_namespace_forecast{%s})`, "within {{within}}"}}},
		{"Coming load and capacity", "Tasks a second that fall due in the next five minutes, beside what is confirmed now, and the most that was confirmed in a minute of the last week.", units.RequestsPerSecond, false, []query{
			{`max(triggerhook_namespace_forecast{%s,within="5m"}) / 300`, "fall due"}, {total("confirmed"), "confirmed"}, {`max(triggerhook:capacity:rate1m{%s})`, "capacity"}}},
	}},
	{"Lateness", []panel{
		{"Percentiles", "First deliveries: delivery minus due time, by the clock of Redis.", units.Seconds, false, []query{{quantile("0.5"), "p50"}, {quantile("0.99"), "p99"}, {quantile("0.999"), "p99.9"}}},
		{"More than a second late", "Which part of the first deliveries came more than a second late; a budget of 0.1 % is what the rules alert on.", units.PercentUnit, false, []query{
			{`max(triggerhook:late:ratio_rate5m{%s})`, "5 minutes"}, {`max(triggerhook:late:ratio_rate1h{%s})`, "1 hour"}}},
	}},
	{"The life of tasks", []panel{
		{"Where tasks are", "All processes. Stored tasks are all unfinished ones; the others are among them.", units.Short, false, []query{
			{namespaced("tasks"), "stored"}, {namespaced("preloaded"), "preloaded"}, {namespaced("due"), "due"}, {namespaced("in_flight"), "in flight"}}},
		{"Tasks a second", "", units.RequestsPerSecond, false, []query{{total("created"), "created"}, {total("delivered"), "delivered"}, {total("confirmed"), "confirmed"},
			{total("deleted"), "deleted"}, {total("rescheduled"), "rescheduled"}}},
		{"Not at the first attempt", "", units.RequestsPerSecond, false, []query{{total("redelivered"), "redelivered"}, {total("rolled_back"), "rolled back"}, {total("snoozed"), "snoozed"}, {total("timed_out"), "timed out"}}},
	}},
	{"Workers", []panel{
		{"In hand", "Deliveries that handlers have, by process.", units.Short, false, []query{{`sum by (instance) (triggerhook_in_hand{%s})`, "{{instance}}"}}},
		{"Queued and confirming", "Claimed and not yet handed out; answered and not yet stored.", units.Short, false, []query{{`sum(triggerhook_queued{%s})`, "queued"}, {`sum(triggerhook_confirming{%s})`, "confirming"}}},
		{"Handlers take (p99)", "By outcome; of processes that use metrics.NewHandlers.", units.Seconds, false, []query{
			{`histogram_quantile(0.99, sum by (le, outcome) (rate(triggerhook_handler_seconds_bucket{%s}[$__rate_interval])))`, "{{outcome}}"}}},
	}},
	{"What is wrong", []panel{
		{"Errors that no call returned", "By kind; the log says what is done about each.", units.RequestsPerSecond, false, []query{{`sum by (kind) (rate(triggerhook_errors_total{%s}[$__rate_interval]))`, "{{kind}}"}}},
		{"Hot set", "Generations begun; tasks that were missing in Redis; batches whose lease was lost.", units.RequestsPerSecond, false, []query{
			{total("rebuilds"), "rebuilds"}, {total("audit_finds"), "audit finds"}, {total("leases_lost"), "leases lost"}}},
		{"Loaded ahead", "How far ahead of now the hot set has all tasks. Not above 0: no process feeds it.", units.Seconds, false, []query{{`min(triggerhook_namespace_loaded_ahead_seconds{%s})`, "loaded ahead"}}},
		{"Tasks that died", "", units.RequestsPerSecond, false, []query{{total("exhausted"), "attempts spent"}, {total("discarded"), "discarded"}, {total("expired"), "expired"}}},
		{"Clocks", "The clock of Redis minus that of each process.", units.Seconds, false, []query{{`max by (instance) (triggerhook_clock_offset_seconds{%s})`, "{{instance}}"}}},
		{"Stuck handlers", "Handlers that run for longer than DeliveryTimeout.", units.Short, false, []query{{`sum by (instance) (triggerhook_stuck_handlers{%s})`, "{{instance}}"}}},
	}},
}

// source is the Prometheus that the reader has chosen.
var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${source}")}

// build makes a dashboard of the classic schema, which each Grafana imports; the newer one needs Grafana 12.
//
//lint:ignore SA1019 see above
func build() *dashboard.DashboardBuilder {
	//lint:ignore SA1019 see above
	b := dashboard.NewDashboardBuilder("Trigger Hook").Uid("triggerhook").Tags([]string{"triggerhook"}).Refresh("10s").Time("now-1h", "now").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Description("One-off tasks, each at its own time: what is late, what is coming, who works, what is wrong.").
		WithVariable(dashboard.NewDatasourceVariableBuilder("source").Label("Prometheus").Type("prometheus")).
		WithVariable(dashboard.NewQueryVariableBuilder("namespace").Label("Namespace").Datasource(source).Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
			Query(dashboard.StringOrMap{String: cog.ToPtr("label_values(triggerhook_namespace_tasks, namespace)")}))
	for _, r := range rows {
		b = b.WithRow(dashboard.NewRowBuilder(r.title))
		width := uint32(24 / min(len(r.panels), 3))
		if r.panels[0].number {
			width = uint32(24 / len(r.panels))
		}
		for _, p := range r.panels {
			b = b.WithPanel(p.build(width))
		}
	}
	return b
}

// full is the expression with its matcher.
func (q query) full() string {
	return fmt.Sprintf(q.expr, matcher)
}

// build returns the i-th query of a panel.
func (q query) build(i int) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().RefId(string(rune('A' + i))).Expr(q.full()).LegendFormat(q.legend)
}

func (p panel) build(width uint32) cog.Builder[dashboard.Panel] {
	if p.number {
		b := stat.NewPanelBuilder().Title(p.title).Description(p.tells).Unit(p.unit).Span(width).Height(4).Datasource(source).GraphMode(common.BigValueGraphModeArea)
		for i, q := range p.queries {
			b = b.WithTarget(q.build(i))
		}
		return b
	}
	b := timeseries.NewPanelBuilder().Title(p.title).Description(p.tells).Unit(p.unit).Span(width).Height(8).Datasource(source).FillOpacity(8)
	for i, q := range p.queries {
		b = b.WithTarget(q.build(i))
	}
	return b
}
