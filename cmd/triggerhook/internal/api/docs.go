package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

var (
	//go:embed docs.html
	docsHTML string
	//go:embed docs.css
	docsCSS []byte
)

// docsRoutes serves the OpenAPI document, and a page made of it. The page asks for nothing from elsewhere, and has no script.
func (s *Server) docsRoutes() error {
	document, err := json.MarshalIndent(s.api.OpenAPI(), "", "  ")
	if err != nil {
		return fmt.Errorf("OpenAPI document: %w", err)
	}
	page, err := docsPage(s.api.OpenAPI())
	if err != nil {
		return fmt.Errorf("page of the documentation: %w", err)
	}
	static := func(contentType string, content []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
			w.Write(content) // an error means that the client is gone
		}
	}
	s.mux.HandleFunc("GET /openapi.json", static("application/openapi+json", document))
	s.mux.HandleFunc("GET /docs", static("text/html; charset=utf-8", page))
	s.mux.HandleFunc("GET /docs.css", static("text/css; charset=utf-8", docsCSS))
	return nil
}

// docOperation is one operation on the page.
type docOperation struct {
	Method, Path string
	*huma.Operation
	Scope  string
	Body   []docField
	Answer []docField
	Status []string
}

// docField is a field of a body.
type docField struct {
	Name, Type, Doc string
	Required        bool
}

// docsPage makes the page of a document.
func docsPage(o *huma.OpenAPI) ([]byte, error) {
	var all []docOperation
	for _, path := range slices.Sorted(maps.Keys(o.Paths)) {
		item := o.Paths[path]
		for _, m := range []struct {
			method string
			op     *huma.Operation
		}{{"GET", item.Get}, {"POST", item.Post}, {"PATCH", item.Patch}, {"DELETE", item.Delete}} {
			if m.op != nil {
				all = append(all, describe(o, m.method, path, m.op))
			}
		}
	}
	page, err := template.New("docs").Parse(docsHTML)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = page.Execute(&out, map[string]any{"Info": o.Info, "Operations": all})
	return out.Bytes(), err
}

// describe is an operation as the page shows it.
func describe(o *huma.OpenAPI, method, path string, op *huma.Operation) docOperation {
	d := docOperation{Method: method, Path: path, Operation: op}
	for _, scopes := range op.Security {
		d.Scope = strings.Join(scopes["token"], ", ")
	}
	if op.RequestBody != nil {
		d.Body = fields(o, op.RequestBody.Content["application/json"])
	}
	for status, r := range op.Responses {
		if d.Status = append(d.Status, status); strings.HasPrefix(status, "2") && r.Content != nil {
			d.Answer = fields(o, r.Content["application/json"])
		}
	}
	slices.Sort(d.Status)
	return d
}

// fields are those of the object, or of the objects of the list, that a body is.
func fields(o *huma.OpenAPI, m *huma.MediaType) (all []docField) {
	if m == nil {
		return nil
	}
	schema := resolve(o, m.Schema)
	if schema.Type == huma.TypeArray {
		schema = resolve(o, schema.Items)
	}
	names := make([]string, 0, len(schema.Properties))
	for name := range schema.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p := schema.Properties[name]
		all = append(all, docField{name, typeName(o, p), p.Description, slices.Contains(schema.Required, name)})
	}
	return all
}

func resolve(o *huma.OpenAPI, s *huma.Schema) *huma.Schema {
	if s.Ref != "" {
		return o.Components.Schemas.SchemaFromRef(s.Ref)
	}
	return s
}

// typeName is the type of a field, for people.
func typeName(o *huma.OpenAPI, s *huma.Schema) string {
	s = resolve(o, s)
	switch {
	case s.Type == huma.TypeArray:
		return "list of " + typeName(o, s.Items)
	case len(s.Enum) > 0:
		return fmt.Sprintf("one of %v", s.Enum)
	case s.Type == "":
		return "any JSON"
	case s.Format != "":
		return s.Type + " (" + s.Format + ")"
	}
	return s.Type
}
