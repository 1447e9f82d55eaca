package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"gopkg.in/yaml.v3"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/metrics"
)

// ruleFile is what this test reads of rules.yaml.
type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

type rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

func read(t *testing.T, path string, to any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(to); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var f ruleFile
	read(t, "prometheus/rules.yaml", &f)
	for _, g := range f.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// scaledObject is what this test reads of the ScaledObject of KEDA.
type scaledObject struct {
	APIVersion string            `yaml:"apiVersion"`
	Kind       string            `yaml:"kind"`
	Metadata   map[string]string `yaml:"metadata"`
	Spec       struct {
		ScaleTargetRef  map[string]string `yaml:"scaleTargetRef"`
		MinReplicaCount int               `yaml:"minReplicaCount"`
		MaxReplicaCount int               `yaml:"maxReplicaCount"`
		PollingInterval int               `yaml:"pollingInterval"`
		CooldownPeriod  int               `yaml:"cooldownPeriod"`
		Triggers        []struct {
			Type     string            `yaml:"type"`
			Metadata map[string]string `yaml:"metadata"`
		} `yaml:"triggers"`
	} `yaml:"spec"`
}

// expressions are those of the rules, the dashboard and the ScaledObject, by where each stands.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, r := range rules(t) {
		all["rule "+r.Record+r.Alert] = r.Expr
	}
	for _, row := range rows {
		for _, p := range row.panels {
			for i, q := range p.queries {
				all[fmt.Sprintf("panel %q, query %d", p.title, i)] = q.full()
			}
		}
	}
	var keda scaledObject
	read(t, "keda/scaledobject.yaml", &keda)
	for i, trigger := range keda.Spec.Triggers {
		all[fmt.Sprintf("trigger %d of KEDA", i)] = trigger.Metadata["query"]
	}
	return all
}

// exported are the names of the metrics that the library has.
func exported(t *testing.T) (names []string) {
	t.Helper()
	store, err := bolt.Open(filepath.Join(t.TempDir(), "t.bolt"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	set, err := local.New(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{})
	if err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc, 1000)
	metrics.NewCollector(s).Describe(descs)
	metrics.NewHandlers("n").Describe(descs)
	close(descs)
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	for d := range descs {
		names = append(names, name.FindStringSubmatch(d.String())[1])
	}
	return names
}

// Each metric that an expression names is one of the library's, or is recorded by a rule.
func TestEachMetricExists(t *testing.T) {
	known := exported(t)
	for _, n := range slices.Clone(known) {
		if strings.HasSuffix(n, "_seconds") {
			known = append(known, n+"_bucket", n+"_sum", n+"_count")
		}
	}
	for _, r := range rules(t) {
		known = append(known, r.Record)
	}
	name, named := regexp.MustCompile(`triggerhook[:_][a-z0-9_:]+`), 0
	for where, expr := range expressions(t) {
		for _, n := range name.FindAllString(expr, -1) {
			if named++; !slices.Contains(known, n) {
				t.Errorf("%s names %s, which no metric and no rule is called", where, n)
			}
		}
	}
	if len(known) < 40 || named < 80 {
		t.Errorf("%d names are known, and %d were compared; the test looks at the wrong place", len(known), named)
	}
}

// The file is what the program writes.
func TestTheDashboardIsCurrent(t *testing.T) {
	want, err := render()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the program writes (%v): go run .", path, err)
	}
	var d struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(want, &d); err != nil || len(d.Panels) < 20 {
		t.Errorf("the dashboard has %d panels, %v", len(d.Panels), err)
	}
}

// Each alert says how urgent it is, what it is about, and where the runbook tells what to do; and the runbook is of these alerts alone.
func TestEachAlertIsInTheRunbook(t *testing.T) {
	text, err := os.ReadFile("../docs/runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^## (Triggerhook\w+)$`).FindAllStringSubmatch(string(text), -1) {
		sections = append(sections, m[1])
	}
	var alerts []string
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		alerts = append(alerts, r.Alert)
		if s := r.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s has the severity %q", r.Alert, s)
		}
		if !strings.HasSuffix(r.Annotations["runbook_url"], "/docs/runbook.md#"+strings.ToLower(r.Alert)) || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s has the annotations %v", r.Alert, r.Annotations)
		}
	}
	if !slices.Equal(alerts, sections) {
		t.Errorf("the rules have the alerts\n%v\nand the runbook has\n%v", alerts, sections)
	}
}

// promtool runs Prometheus's own tool.
func promtool(t *testing.T, args ...string) string {
	t.Helper()
	run, err := testserver.Program(t.Context(), "prometheus", "usr/bin/promtool")
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("promtool %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// Prometheus takes the rules, and they do what rules_test.yaml says.
func TestTheRulesDoWhatTheyShould(t *testing.T) {
	promtool(t, "check", "rules", "prometheus/rules.yaml")
	promtool(t, "test", "rules", "prometheus/rules_test.yaml")
	text, err := os.ReadFile("prometheus/rules_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules(t) {
		if r.Alert != "" && !strings.Contains(string(text), r.Alert) {
			t.Errorf("rules_test.yaml does not see %s fire", r.Alert)
		}
	}
}

// Prometheus takes each expression of the dashboard and of KEDA, once Grafana has filled in what is chosen there.
func TestEachExpressionIsValid(t *testing.T) {
	var f ruleFile
	f.Groups = append(f.Groups, struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	}{Name: "all"})
	for _, expr := range expressions(t) {
		expr = strings.NewReplacer("$__rate_interval", "1m", "$namespace", "shop").Replace(expr)
		f.Groups[0].Rules = append(f.Groups[0].Rules, rule{Record: fmt.Sprint("r", len(f.Groups[0].Rules)), Expr: expr})
	}
	text, err := yaml.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out := promtool(t, "check", "rules", file); !strings.Contains(out, fmt.Sprintf("SUCCESS: %d rules", len(f.Groups[0].Rules))) {
		t.Errorf("promtool says %s", out)
	}
}

// The ScaledObject scales on the forecast.
func TestKEDAScalesOnTheForecast(t *testing.T) {
	var keda scaledObject
	read(t, "keda/scaledobject.yaml", &keda)
	on := 0
	for _, trigger := range keda.Spec.Triggers {
		if trigger.Type != "prometheus" || trigger.Metadata["threshold"] == "" || trigger.Metadata["serverAddress"] == "" {
			t.Errorf("a trigger is %+v", trigger)
		}
		if strings.Contains(trigger.Metadata["query"], "namespace_forecast") {
			on++
		}
	}
	if on != 1 || keda.APIVersion != "keda.sh/v1alpha1" || keda.Kind != "ScaledObject" || keda.Spec.ScaleTargetRef["name"] == "" || keda.Spec.MinReplicaCount >= keda.Spec.MaxReplicaCount {
		t.Errorf("%d triggers are on the forecast, of %+v", on, keda)
	}
}
