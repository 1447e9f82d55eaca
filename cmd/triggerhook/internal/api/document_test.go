package api

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// openAPISchema is the schema of OpenAPI 3.1, by the OpenAPI Initiative.
const openAPISchema = "testdata/openapi-3.1-schema.json"

// document is the OpenAPI document of a server, which each of its answers is compared with.
type document struct {
	tree    map[string]any
	schemas *jsonschema.Compiler
}

func newDocument(t *testing.T, text []byte) document {
	t.Helper()
	all, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	must(t, err)
	tree, is := all.(map[string]any)
	if !is {
		t.Fatalf("the document is %.80s", text)
	}
	c := jsonschema.NewCompiler()
	must(t, c.AddResource("document.json", all))
	return document{tree, c}
}

// valid is an error if the document is not OpenAPI 3.1.
func (d document) valid(t *testing.T) error {
	t.Helper()
	f, err := os.Open(openAPISchema)
	must(t, err)
	defer f.Close()
	rules, err := jsonschema.UnmarshalJSON(f)
	must(t, err)
	c := jsonschema.NewCompiler()
	must(t, c.AddResource("openapi.json", rules))
	schema, err := c.Compile("openapi.json")
	must(t, err)
	return schema.Validate(d.tree)
}

// at is the part of the document that lies below keys, nil if there is none.
func (d document) at(keys ...string) any {
	var here any = d.tree
	for _, k := range keys {
		m, _ := here.(map[string]any)
		here = m[k]
	}
	return here
}

// pathOf is the path of the document that a request means.
func (d document) pathOf(r *http.Request) string {
	paths, _ := d.at("paths").(map[string]any)
	for path := range paths {
		if samePath(path, r.URL.EscapedPath()) {
			return path
		}
	}
	return ""
}

// samePath reports whether a path, escaped, is one of a pattern.
func samePath(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if want[i] != got[i] && !strings.HasPrefix(want[i], "{") {
			return false
		}
	}
	return true
}

// describes fails t unless the document describes an answer to a request: its status, its media type, and the shape of its body.
func (d document) describes(t *testing.T, r *http.Request, resp *http.Response, body []byte) {
	t.Helper()
	path, method, status := d.pathOf(r), strings.ToLower(r.Method), strconv.Itoa(resp.StatusCode)
	if d.at("paths", path, method, "responses", status) == nil {
		t.Errorf("%s %s answers %s, of which the document has nothing", r.Method, r.URL.Path, status)
		return
	}
	if d.at("paths", path, method, "responses", status, "content") == nil {
		if len(body) > 0 {
			t.Errorf("%s %s answers %s with %s, and the document has no body", r.Method, r.URL.Path, status, body)
		}
		return
	}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || d.at("paths", path, method, "responses", status, "content", media, "schema") == nil {
		t.Errorf("%s %s answers %s with the media type %q, which the document does not have", r.Method, r.URL.Path, status, resp.Header.Get("Content-Type"))
		return
	}
	schema, err := d.schemas.Compile("document.json#" + pointer("paths", path, method, "responses", status, "content", media, "schema"))
	must(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		t.Errorf("%s %s answers %s %s, which the document does not describe: %v", r.Method, r.URL.Path, status, body, err)
	}
}

// pointer is a JSON pointer, as the fragment of a URL.
func pointer(keys ...string) (p string) {
	for _, k := range keys {
		p += "/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(k)
	}
	return p
}

// A document without what an answer has, and one that is no OpenAPI, are noticed.
func TestTheComparisonWithTheDocument(t *testing.T) {
	w := alone(t, nil)
	text, err := json.Marshal(w.s.api.OpenAPI())
	must(t, err)
	for name, change := range map[string][2]string{
		"another version": {`"openapi":"3.1.0"`, `"openapi":"4.0.0"`},
		"no title":        {`"title":"`, `"name":"`},
		"no responses":    {`"responses"`, `"answers"`},
	} {
		changed := strings.Replace(string(text), change[0], change[1], 1)
		if changed == string(text) {
			t.Fatalf("%s: the document has no %s", name, change[0])
		}
		if err := newDocument(t, []byte(changed)).valid(t); err == nil {
			t.Errorf("%s: the document is valid", name)
		}
	}
}
