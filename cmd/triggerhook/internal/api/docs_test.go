package api

import (
	"encoding/json"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

// documentedRoutes are all operations of the API.
var documentedRoutes = []string{
	"DELETE /v1/dead", "DELETE /v1/tasks", "DELETE /v1/tasks/{id}",
	"GET /v1/dead", "GET /v1/forecast", "GET /v1/history/{id}", "GET /v1/pause", "GET /v1/stats", "GET /v1/tasks", "GET /v1/tasks/{id}", "GET /v1/workers",
	"PATCH /v1/tasks", "PATCH /v1/tasks/{id}",
	"POST /v1/dead/{id}/requeue", "POST /v1/dead:requeue", "POST /v1/pause", "POST /v1/resume", "POST /v1/tasks", "POST /v1/tasks:batch",
}

func operations(item *huma.PathItem) iter.Seq2[string, *huma.Operation] {
	return func(yield func(string, *huma.Operation) bool) {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PATCH": item.Patch, "DELETE": item.Delete, "PUT": item.Put} {
			if op != nil && !yield(method, op) {
				return
			}
		}
	}
}

// The document is valid OpenAPI 3.1, by the schema of the OpenAPI Initiative, and has each route.
func TestTheDocument(t *testing.T) {
	w := alone(t, nil)
	if err := w.document.valid(t); err != nil {
		t.Errorf("the document is not valid: %v", err)
	}
	got := w.do("GET", "/openapi.json", "")
	var document struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	must(t, json.Unmarshal([]byte(got.body), &document))
	var routes []string
	for path, methods := range document.Paths {
		for method := range maps.Keys(methods) {
			routes = append(routes, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(routes)
	if !strings.HasPrefix(document.OpenAPI, "3.1") || !slices.Equal(routes, documentedRoutes) {
		t.Errorf("OpenAPI %s with the routes\n%v, want 3.1 and\n%v", document.OpenAPI, routes, documentedRoutes)
	}
}

// The page has each route, asks for nothing from elsewhere, and its policy allows no script.
func TestThePage(t *testing.T) {
	w := alone(t, nil)
	got := w.do("GET", "/docs", "")
	for _, route := range documentedRoutes {
		method, path, _ := strings.Cut(route, " ")
		if !strings.Contains(got.body, "<b>"+method+"</b> "+path+"<") {
			t.Errorf("the page lacks %s", route)
		}
	}
	for _, loaded := range regexp.MustCompile(`(?:src|href)="([^"#]*)"`).FindAllStringSubmatch(got.body, -1) {
		if !slices.Contains([]string{"/docs.css", "/openapi.json"}, loaded[1]) && loaded[1] != "" {
			t.Errorf("the page leads to %s", loaded[1])
		}
	}
	if policy := got.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'self';") || strings.Contains(got.body, "<script") {
		t.Errorf("policy %q, want one without scripts", policy)
	}
}
