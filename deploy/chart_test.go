// Package deploy has the image and the Helm chart of "triggerhook serve". Its tests lint the chart and render it, as helm lint and helm template
// do, and read what comes out as the types of Kubernetes, so that a field that does not exist is an error.
package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const chart = "helm/triggerhook"

// given are the least values that an installation gives.
func given() map[string]any {
	return map[string]any{"secret": map[string]any{"store": "mysql://app:pw@db/shop", "hot": "redis://cache", "tokens": "a line", "webhookSecrets": "whsec_x"}}
}

// objects are what the chart makes, by file.
type objects map[string]string

// render renders the chart with values.
func render(values map[string]any) (objects, error) {
	c, err := loader.Load(chart)
	if err != nil {
		return nil, err
	}
	all, err := util.ToRenderValues(c, values, common.ReleaseOptions{Name: "shop", Namespace: "jobs", Revision: 1, IsInstall: true}, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	o := objects{}
	for path, text := range files {
		if strings.TrimSpace(text) != "" {
			o[filepath.Base(path)] = text
		}
	}
	return o, nil
}

// rendered renders the chart, and fails the test if that fails.
func rendered(t *testing.T, values map[string]any) objects {
	t.Helper()
	o, err := render(values)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// read reads a file of the chart as T. A field that T does not have is an error.
func read[T any](t *testing.T, o objects, file string) T {
	t.Helper()
	var value T
	if err := yaml.UnmarshalStrict([]byte(o[file]), &value); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, o[file])
	}
	return value
}

func TestLint(t *testing.T) {
	for _, m := range lint.RunAll(chart, given(), "jobs").Messages {
		if m.Severity >= support.WarningSev {
			t.Error(m)
		}
	}
}

// Each object is one of Kubernetes, and all of them select the same pods.
func TestObjects(t *testing.T) {
	o := rendered(t, given())
	d := read[appsv1.Deployment](t, o, "deployment.yaml")
	service, budget := read[corev1.Service](t, o, "service.yaml"), read[policyv1.PodDisruptionBudget](t, o, "poddisruptionbudget.yaml")
	network, secret := read[networkingv1.NetworkPolicy](t, o, "networkpolicy.yaml"), read[corev1.Secret](t, o, "secret.yaml")
	labels := d.Spec.Template.Labels
	for what, selector := range map[string]map[string]string{"Deployment": d.Spec.Selector.MatchLabels, "Service": service.Spec.Selector,
		"PodDisruptionBudget": budget.Spec.Selector.MatchLabels, "NetworkPolicy": network.Spec.PodSelector.MatchLabels} {
		for name, value := range selector {
			if labels[name] != value || len(selector) != 2 {
				t.Errorf("%s selects %v, the pods have %v", what, selector, labels)
			}
		}
	}
	if *d.Spec.Replicas != 2 || budget.Spec.MinAvailable.IntValue() != 1 || len(o) != 6 {
		t.Errorf("%d replicas, %s stay, %d files; want 2, 1 and 6", *d.Spec.Replicas, budget.Spec.MinAvailable, len(o))
	}
	for _, key := range []string{"store", "hot", "tokens", "webhook-secrets"} {
		if secret.StringData[key] == "" {
			t.Errorf("the Secret has no %s", key)
		}
	}
}

// The pod has no rights that it does not need, and its passwords are in no command line.
func TestThePodIsRestricted(t *testing.T) {
	text := rendered(t, given())["deployment.yaml"]
	if strings.Contains(text, "pw@") || strings.Contains(text, "whsec_") {
		t.Error("a secret is in the Deployment")
	}
	pod := read[appsv1.Deployment](t, objects{"d": text}, "d").Spec.Template.Spec
	c := pod.Containers[0]
	s := c.SecurityContext
	if !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser == 0 || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem ||
		!slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || *pod.AutomountServiceAccountToken || pod.SecurityContext.SeccompProfile.Type != "RuntimeDefault" {
		t.Errorf("it has more rights than it needs: %+v, %+v", pod.SecurityContext, s)
	}
	if c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Error("the probes are not those of serve")
	}
	if grace := *pod.TerminationGracePeriodSeconds; grace <= 5+30 {
		t.Errorf("it is killed after %d s, while it drains", grace)
	}
}

// Each flag that the chart gives is one of serve, by its source.
func TestFlagsAreThoseOfServe(t *testing.T) {
	var source strings.Builder
	for _, file := range []string{"serve.go", "root.go"} {
		text, err := os.ReadFile("../cmd/triggerhook/" + file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	d := read[appsv1.Deployment](t, rendered(t, given()), "deployment.yaml")
	args := d.Spec.Template.Spec.Containers[0].Args
	if args[0] != "serve" || len(args) < 10 {
		t.Fatalf("arguments %q", args)
	}
	for _, arg := range args[1:] {
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if !regexp.MustCompile(`Var\(&[\w.]+, "` + regexp.QuoteMeta(name) + `"`).MatchString(source.String()) {
			t.Errorf("serve has no flag --%s", name)
		}
	}
}

// The policy lets webhooks reach the Internet, and no private network or metadata service.
func TestTheNetworkPolicyKeepsPrivateNetworksApart(t *testing.T) {
	p := read[networkingv1.NetworkPolicy](t, rendered(t, given()), "networkpolicy.yaml")
	if len(p.Spec.PolicyTypes) != 2 || len(p.Spec.Egress) != 3 || len(p.Spec.Ingress) != 1 {
		t.Fatalf("%+v", p.Spec)
	}
	webhooks := p.Spec.Egress[2]
	for _, want := range []string{"10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"} {
		if !slices.Contains(webhooks.To[0].IPBlock.Except, want) {
			t.Errorf("webhooks may reach %s", want)
		}
	}
	for _, peer := range webhooks.To {
		if peer.IPBlock == nil {
			t.Errorf("webhooks may reach %+v", peer)
		}
	}
}

// Values that break a rule, or are missing, are refused with their name.
func TestBadValuesAreRefused(t *testing.T) {
	for want, change := range map[string]func(v map[string]any){
		"secret.store":    func(v map[string]any) { delete(v["secret"].(map[string]any), "store") },
		"secret.tokens":   func(v map[string]any) { v["secret"].(map[string]any)["tokens"] = "" },
		"webhookSecrets":  func(v map[string]any) { delete(v["secret"].(map[string]any), "webhookSecrets") },
		"replicas":        func(v map[string]any) { v["replicas"] = 0 },
		"replica'":        func(v map[string]any) { v["replica"] = 3 },
		"hot":             func(v map[string]any) { v["secret"].(map[string]any)["hot"] = "local" },
		"args":            func(v map[string]any) { v["args"] = []any{"rm"} },
		"webhookPerHost":  func(v map[string]any) { v["webhookPerHost"] = 0 },
		"'/namespace'":    func(v map[string]any) { v["namespace"] = "Shop" },
		"existingSecret'": func(v map[string]any) { v["existingSecret"] = 7 },
	} {
		v := given()
		change(v)
		if _, err := render(v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}

// Each way to use the chart renders.
func TestVariants(t *testing.T) {
	v := map[string]any{"existingSecret": "mine", "replicas": 1, "networkPolicy": map[string]any{"enabled": false}, "migrate": false,
		"args": []any{"--webhook-https-only"}, "nodeSelector": map[string]any{"disk": "ssd"}, "tolerations": []any{map[string]any{"operator": "Exists"}},
		"imagePullSecrets": []any{map[string]any{"name": "registry"}}, "podAnnotations": map[string]any{"a": "b"}, "service": map[string]any{"annotations": map[string]any{"a": "b"}},
		"affinity": map[string]any{"nodeAffinity": map[string]any{}}}
	o := rendered(t, v)
	if len(o) != 3 { // the Deployment, the Service and the notes
		t.Errorf("%d files, want 3", len(o))
	}
	d := read[appsv1.Deployment](t, o, "deployment.yaml").Spec.Template
	read[corev1.Service](t, o, "service.yaml")
	if args := d.Spec.Containers[0].Args; slices.Contains(args, "--migrate") || !slices.Contains(args, "--webhook-https-only") {
		t.Errorf("arguments %q", args)
	}
	if d.Spec.Volumes[0].Secret.SecretName != "mine" || d.Annotations["a"] != "b" || len(d.Spec.Tolerations) != 1 || d.Spec.NodeSelector["disk"] != "ssd" {
		t.Errorf("%+v", d)
	}
	if !strings.Contains(o["NOTES.txt"], "set replicas to 2") {
		t.Errorf("the notes do not warn of one server:\n%s", o["NOTES.txt"])
	}
	v = given()
	v["networkPolicy"] = map[string]any{"monitoring": []any{map[string]any{"namespaceSelector": map[string]any{}}},
		"clients": []any{map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{"app": "web"}}}},
		"stores":  map[string]any{"to": []any{map[string]any{"ipBlock": map[string]any{"cidr": "10.1.0.0/16"}}}}}
	p := read[networkingv1.NetworkPolicy](t, rendered(t, v), "networkpolicy.yaml")
	if len(p.Spec.Ingress) != 2 || p.Spec.Ingress[0].From[0].PodSelector.MatchLabels["app"] != "web" || p.Spec.Egress[1].To[0].IPBlock.CIDR != "10.1.0.0/16" {
		t.Errorf("%+v", p.Spec)
	}
}
