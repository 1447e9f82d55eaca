package metrics_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/metrics"
)

func TestNamesFollowConventions(t *testing.T) {
	store, set := embedded(t, 1)
	s := scheduler(t, store, set, triggerhook.Options{})
	for _, c := range []prometheus.Collector{metrics.NewCollector(s), metrics.NewHandlers("shop")} {
		if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
	}
}

// docs/operations.md names each metric, and none that does not exist.
func TestOperationsNamesEachMetric(t *testing.T) {
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, name := range regexp.MustCompile(`triggerhook_[a-z_]+`).FindAllString(string(text), -1) {
		told[name] = true
	}
	store, set := embedded(t, 1)
	ch := make(chan *prometheus.Desc, 100)
	metrics.NewCollector(scheduler(t, store, set, triggerhook.Options{})).Describe(ch)
	metrics.NewHandlers("shop").Describe(ch)
	close(ch)
	is := map[string]bool{}
	for d := range ch {
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]
		is[name] = true
		if !told[name] {
			t.Errorf("%s is not told of", name)
		}
	}
	for name := range told {
		if !is[name] {
			t.Errorf("%s does not exist", name)
		}
	}
}
