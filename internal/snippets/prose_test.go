package snippets

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	span = regexp.MustCompile("`([^`\n]+)`")
	flag = regexp.MustCompile(`(?:^|[ \[])(--[a-z][a-z-]*)`)
	verb = regexp.MustCompile(`^[a-z]+$`)
)

// help is what commands of triggerhook say of themselves, by their words.
type help map[string]string

// of is the help of a command, "" if there is none.
func (h help) of(t *testing.T, words []string) string {
	t.Helper()
	name := strings.Join(words, " ")
	if text, known := h[name]; known {
		return text
	}
	out, err := exec.Command(filepath.Join(bin, "triggerhook"), append(slices.Clone(words), "--help")...).CombinedOutput()
	text := string(out)
	if err != nil || !strings.Contains(text, "  triggerhook "+name) {
		text = ""
	}
	h[name] = text
	return text
}

// wrong says what is wrong with a command line of triggerhook, "" if nothing is.
func (h help) wrong(t *testing.T, line string) string {
	t.Helper()
	var words []string
	for _, word := range strings.Fields(line)[1:] {
		if !verb.MatchString(word) {
			break
		}
		words = append(words, word)
	}
	if len(words) > 1 && words[0] == "help" {
		words = words[1:]
	}
	text := h.of(t, words)
	if text == "" {
		return "is no command"
	}
	for _, m := range flag.FindAllStringSubmatch(line, -1) {
		if !regexp.MustCompile(regexp.QuoteMeta(m[1]) + `\b`).MatchString(text) {
			return "has no flag " + m[1]
		}
	}
	return ""
}

// What texts say in passing of the command triggerhook is so too: each command that they name has the flags that they name. So have the lines
// that are not run.
func TestCommandsInTextsAreRight(t *testing.T) {
	t.Parallel()
	buildCommand(t)
	h, seen := help{}, 0
	names, err := pages(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range span.FindAllStringSubmatch(string(text), -1) {
			if strings.HasPrefix(m[1], "triggerhook ") {
				seen++
				if problem := h.wrong(t, m[1]); problem != "" {
					t.Errorf("%s: `%s` %s", name, m[1], problem)
				}
			}
		}
	}
	for _, s := range notRun {
		if strings.HasPrefix(s.line, "triggerhook ") {
			if problem := h.wrong(t, s.line); problem != "" {
				t.Errorf("%s: %s %s", s.page, s.line, problem)
			}
		}
	}
	if seen < 30 {
		t.Errorf("%d commands are named: the pages name more", seen)
	}
	for _, line := range []string{"triggerhook fly", "triggerhook list --fly", "triggerhook dead fly --rate 50"} {
		if h.wrong(t, line) == "" {
			t.Errorf("%q is taken for right", line)
		}
	}
}

// The flags that the pages about the command name are flags of one of its commands.
func TestFlagsInTextsAreThere(t *testing.T) {
	t.Parallel()
	buildCommand(t)
	h := help{}
	all, seen := "", 0
	for _, words := range strings.Split("migrate,create,get,list,delete,reschedule,update,dead list,dead requeue,dead purge,history,pause,resume,stats,forecast,top,serve,token new,doctor,export,import", ",") {
		all += h.of(t, strings.Fields(words))
	}
	for _, name := range []string{"docs/cli.md", "docs/serve.md", "docs/webhooks.md", "docs/security.md"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range span.FindAllStringSubmatch(string(text), -1) {
			if f := flag.FindString(m[1]); strings.HasPrefix(m[1], "--") && m[1] != "--help" {
				seen++
				if !regexp.MustCompile(`\s` + regexp.QuoteMeta(f) + `\b`).MatchString(all) {
					t.Errorf("%s: no command has the flag %s", name, f)
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d flags are named: the pages name more", seen)
	}
}
