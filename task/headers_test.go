package task_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook/task"
)

// The encoding is the shortest JSON object, with sorted keys, so equal headers have equal encodings.
func TestHeadersAreEncodedTheSameAlways(t *testing.T) {
	for _, c := range []struct {
		headers map[string]string
		want    string
	}{
		{nil, ""}, {map[string]string{}, ""}, {map[string]string{"a": ""}, `{"a":""}`},
		{map[string]string{"tenant": "7", "b": "<&>", "a": "é \"\\\n\x00", "Z": "'"}, `{"Z":"'","a":"é \"\\\n\u0000","b":"<&>","tenant":"7"}`},
		{map[string]string{"k": strings.Repeat("v", task.MaxHeaders-8)}, `{"k":"` + strings.Repeat("v", task.MaxHeaders-8) + `"}`},
	} {
		for range 5 { // maps have no order
			got, err := task.EncodeHeaders(c.headers)
			if got != c.want || err != nil {
				t.Fatalf("%.100q was encoded as %.100s, %v; want %.100s", c.headers, got, err, c.want)
			}
		}
		if again, err := task.DecodeHeaders(c.want); err != nil || !maps.Equal(again, c.headers) || len(again) == 0 && again != nil {
			t.Errorf("%.100s was decoded as %.100q, %v; want %.100q", c.want, again, err, c.headers)
		}
	}
}

// Each rule has an error that names the key and the rule, and no value.
func TestHeadersThatBreakARuleAreRefused(t *testing.T) {
	for want, headers := range map[string]map[string]string{
		"a header's key is empty":                        {"": "secret"},
		`header key "\xff" is not valid UTF-8`:           {"\xff": "secret"},
		`the value of header "trace" is not valid UTF-8`: {"a": "b", "trace": "secret\xff"},
		"1 headers have 8193 bytes or more":              {"k": "secret" + strings.Repeat("v", task.MaxHeaders-14+1)},
		"1 headers have 9000 bytes or more":              {"k": "secret" + strings.Repeat("v", 8993)},
		"2 headers have 11937 bytes or more":             {"k": "secret" + strings.Repeat("\x01", 1986), "a": ""},
		"at most 8192 are allowed":                       {"k": strings.Repeat("v", 10_000)},
	} {
		got, err := task.EncodeHeaders(headers)
		if !errors.Is(err, task.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || got != "" {
			t.Errorf("%.60q: %q, %v; want ErrInvalid that says %q and no value", headers, got, err, want)
		}
	}
}

// What is not the encoding of headers is an error, which says nothing of what it holds.
func TestWhatIsNotHeadersIsAnError(t *testing.T) {
	for _, text := range []string{"x", "[]", "{", `{"a":1}`, `{"a":{"secret":""}}`, `{"a":"secret"}}`, `"secret"`, " "} {
		if got, err := task.DecodeHeaders(text); err == nil || got != nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q was decoded as %q, %v; want an error", text, got, err)
		}
	}
	for _, text := range []string{"null", "{}", " {} "} {
		if got, err := task.DecodeHeaders(text); err != nil || got != nil {
			t.Errorf("%q was decoded as %q, %v; want none", text, got, err)
		}
	}
}

// Any headers are refused by a rule or come back as they were.
func FuzzHeaders(f *testing.F) {
	f.Add("a", "b", "c", "d")
	f.Add("", "\x00", "é", "\xff")
	f.Add("\u2028", "</script>", "a", strings.Repeat("\x01", 1500))
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		headers := map[string]string{k1: v1, k2: v2}
		text, err := task.EncodeHeaders(headers)
		if err != nil {
			if !errors.Is(err, task.ErrInvalid) {
				t.Errorf("%q: %v, want ErrInvalid", headers, err)
			}
			return
		}
		if got, err := task.DecodeHeaders(text); err != nil || !maps.Equal(got, headers) || len(text) > task.MaxHeaders || len(text) < task.HeadersSize(headers) {
			t.Errorf("%q came back from %q as %q, %v", headers, text, got, err)
		}
	})
}

func TestNoHeadersAllocateNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		if text, err := task.EncodeHeaders(nil); text != "" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		if headers, err := task.DecodeHeaders(""); headers != nil || err != nil {
			t.Errorf("%q, %v", headers, err)
		}
	}); n > 0 {
		t.Errorf("no headers allocate %v times", n)
	}
}
