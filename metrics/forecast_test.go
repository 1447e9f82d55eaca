package metrics_test

import (
	"fmt"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/metrics"
)

func TestForecastHasALabelForEachTime(t *testing.T) {
	store, set := embedded(t, 1)
	s := scheduler(t, store, set, triggerhook.Options{})
	for _, in := range []time.Duration{30 * time.Second, 10 * time.Minute, 2 * time.Hour, 48 * time.Hour} {
		if err := s.Create(t.Context(), &triggerhook.Task{Due: time.Now().Add(in)}); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]float64{}
	for _, m := range scrape(t, metrics.NewCollector(s))["triggerhook_namespace_forecast"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "within" {
				got[l.GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	if want := "map[1h:2 1m:1 24h:3 5m:1]"; fmt.Sprint(got) != want {
		t.Errorf("the forecast is %v, want %s", got, want)
	}
}

// oneTime returns the series without a label "within", and those of one minute without that label.
func oneTime(all []*dto.Metric) (some []*dto.Metric) {
	for _, m := range all {
		last := m.Label[len(m.Label)-1]
		switch {
		case last.GetName() != "within":
			some = append(some, m)
		case last.GetValue() == "1m":
			m.Label = m.Label[:len(m.Label)-1]
			some = append(some, m)
		}
	}
	return some
}
