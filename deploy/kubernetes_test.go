package deploy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/yaml"
)

// kubernetes are the versions whose schemas the chart must fit: the oldest that Chart.yaml allows, some between, and the newest.
var kubernetes = []string{"v0.27.16", "v0.29.14", "v0.31.14", "v0.33.13", "v0.35.10", "v0.37.2"}

// schema is the one that a version's own client has: which fields each type has, and of what kind. Servers of that version drop a field that it
// lacks, with a warning at best. It is read from the source of k8s.io/client-go, which the go command brings; nothing of it is compiled.
func schema(t *testing.T, version string) *typed.Parser {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", "k8s.io/client-go@"+version).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(module.Dir, "applyconfigurations", "internal", "internal.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(source), "typed.YAMLObject(`")
	text, _, is := strings.Cut(text, "`)")
	parser, err := typed.NewParser(typed.YAMLObject(text))
	if !is || err != nil {
		t.Fatalf("the schema of %s: %v", version, err)
	}
	return parser
}

// typeNames are the names in the schemas of what the chart makes.
var typeNames = map[string]string{
	"apps/v1 Deployment": "io.k8s.api.apps.v1.Deployment", "v1 Service": "io.k8s.api.core.v1.Service", "v1 Secret": "io.k8s.api.core.v1.Secret",
	"policy/v1 PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget", "networking.k8s.io/v1 NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
}

// fits returns an error if a manifest has a field that the version does not have, or one of another kind.
func fits(parser *typed.Parser, manifest string) error {
	var of struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal([]byte(manifest), &of); err != nil {
		return err
	}
	_, err := parser.Type(typeNames[of.APIVersion+" "+of.Kind]).FromYAML(typed.YAMLObject(manifest))
	return err
}

// What the chart makes fits each version of Kubernetes.
func TestEachKubernetesHasTheFields(t *testing.T) {
	o := rendered(t, given())
	for _, version := range kubernetes {
		parser := schema(t, version)
		manifests := 0
		for file, manifest := range o {
			if !strings.HasSuffix(file, ".yaml") {
				continue
			}
			manifests++
			if err := fits(parser, manifest); err != nil {
				t.Errorf("Kubernetes %s, %s: %v", version, file, err)
			}
		}
		if manifests != len(typeNames) {
			t.Errorf("%d manifests, want %d", manifests, len(typeNames))
		}
		for wrong, right := range map[string]string{"replica: ": "replicas: ", "replicas: two\n#": "replicas: "} { // the schema does refuse something
			if bad := strings.Replace(o["deployment.yaml"], right, wrong, 1); fits(parser, bad) == nil {
				t.Errorf("Kubernetes %s has %q", version, wrong)
			}
		}
	}
}
