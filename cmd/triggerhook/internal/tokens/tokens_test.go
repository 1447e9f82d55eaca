package tokens

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const line = "a read sha256:"

var hash = strings.Repeat("ab", 32)

func TestBadFiles(t *testing.T) {
	for text, says := range map[string]string{
		"":                                     "no token",
		"# nothing\n\n":                        "no token",
		"a read":                               "line 1: 2 words",
		"# x\na read sha256:" + hash + " more": "line 2: 4 words",
		"a admin sha256:" + hash:               `scope "admin"`,
		"a read,read sha256:" + hash:           "twice",
		"a read " + hash:                       "64 hexadecimal digits",
		line + "ab":                            "64 hexadecimal digits",
		line + strings.Repeat("xy", 32):        "64 hexadecimal digits",
		line + hash + "\n" + line + hash:       `line 2: a second token is named "a"`,
		strings.Repeat("n", 65) + line[1:] + hash: "1 to 64",
		"ü" + line[1:] + hash:                     "ASCII",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), hash) {
			t.Errorf("%.50q: %v, want an error with %q and without the hash", text, err, says)
		}
	}
}

func TestNew(t *testing.T) {
	token, text, err := New("billing", []string{"read", "write"})
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := New("billing", []string{"read"})
	if err != nil || other == token || len(token) != len("thk_")+43 || strings.Contains(text, token) {
		t.Errorf("tokens %s and %s, line %s, %v", token, other, text, err)
	}
	all, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got, is := find(all, token)
	if !is || got.Name != "billing" || !got.Allows(Read) || !got.Allows(Write) || got.Allows(Operate) {
		t.Errorf("found %+v %t", got, is)
	}
	for _, wrong := range []string{other, token + "x", token[:len(token)-1], "", text} {
		if _, is := find(all, wrong); is {
			t.Errorf("%q is taken for a token", wrong)
		}
	}
	for _, bad := range [][]string{{"", "read"}, {"a b", "read"}, {"#a", "read"}, {"a", "all"}, {"a", ""}} {
		if _, _, err := New(bad[0], strings.Split(bad[1], ",")); err == nil {
			t.Errorf("New(%q): no error", bad)
		}
	}
}

// A token that is taken out of the file is refused a second later, and one that is put in is found. A file with an error changes nothing.
func TestAFileThatChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one, first, _ := New("one", []string{"read"})
	two, second, _ := New("two", []string{"read"})
	put("nonsense")
	if _, err := Open(path, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a bad file: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		put(first)
		f, err := Open(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			text string
			one  bool
		}{{first, true}, {second, false}, {"nonsense", false}, {first, true}, {first + " more", true}} {
			put(step.text)
			<-time.After(time.Second)
			_, hasOne := f.Find(one)
			_, hasTwo := f.Find(two)
			if hasOne != step.one || hasTwo == step.one {
				t.Errorf("with %.10q: the first token is found: %t, the second one: %t; want %t, %t", step.text, hasOne, hasTwo, step.one, !step.one)
			}
		}
	})
}
