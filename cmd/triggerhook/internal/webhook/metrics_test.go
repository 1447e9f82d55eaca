package webhook

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// gathered is all that a Sender tells, by name.
func gathered(t testing.TB, s *Sender) map[string]*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(s.Collector())
	all := map[string]*dto.MetricFamily{}
	for _, f := range must(r.Gather())(t) {
		all[f.GetName()] = f
	}
	return all
}

// counted is how many deliveries are counted with an outcome.
func counted(t testing.TB, s *Sender, outcome string) int {
	t.Helper()
	for _, m := range gathered(t, s)["triggerhook_webhook_deliveries_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "outcome" && l.GetValue() == outcome {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	t.Fatalf("no series of outcome %q", outcome)
	return 0
}

// gauge is the value of a gauge.
func gauge(t testing.TB, s *Sender, name string) int {
	t.Helper()
	return int(gathered(t, s)[name].GetMetric()[0].GetGauge().GetValue())
}

// All series are there from the start, at zero, and two Senders of different namespaces share a registry.
func TestMetricsAreThereFromTheStart(t *testing.T) {
	a, b := newSender(t, Options{Namespace: "a"}), newSender(t, Options{Namespace: "b"})
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(a.Collector(), b.Collector())
	series := map[string]int{}
	for _, f := range must(r.Gather())(t) {
		series[f.GetName()] = len(f.GetMetric())
	}
	for name, want := range map[string]int{"triggerhook_webhook_deliveries_total": 2 * len(outcomes), "triggerhook_webhook_request_seconds": 2 * len(statuses),
		"triggerhook_webhook_circuits_opened_total": 2, "triggerhook_webhook_circuits_open": 2, "triggerhook_webhook_in_flight": 2, "triggerhook_webhook_hosts": 2} {
		if series[name] != want {
			t.Errorf("%s has %d series, want %d", name, series[name], want)
		}
	}
	if len(series) != 6 {
		t.Errorf("%d names, want 6: %v", len(series), series)
	}
}
