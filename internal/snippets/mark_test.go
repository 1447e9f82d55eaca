package snippets

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a page may not have is an error that names the place.
func TestPagesThatHideCodeAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"code without a fence":   {"Run\n\n    make test\n", "x.md:3: code without a fence"},
		"a fence without end":    {"Run\n\n```sh\nmake test\n", "x.md:3: the block has no end"},
		"a mark without block":   {"Run\n<!-- snippet: prints x -->\nmake test\n", "x.md:2: a comment about a block"},
		"a mark, a gap, a block": {"<!-- snippet: prints x -->\n\n```sh\nls\n```\n", "x.md:1: a comment about a block"},
	} {
		if _, err := blocksOf("x.md", c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// A block in a list is read without its indentation, and text that goes on in a list is no code.
func TestBlocksInListsAreRead(t *testing.T) {
	t.Parallel()
	all, err := blocksOf("x.md", "1. Do\n\n    this:\n\n   <!-- snippet: prints a b -->\n   ```sh\n   ls\n     -l\n   ```\n")
	if err != nil || len(all) != 1 || all[0].text != "ls\n  -l\n" || all[0].key() != "prints" || all[0].value() != "a b" || all[0].line != 7 {
		t.Errorf("got %+v, %v", all, err)
	}
}

// A mark that means nothing is an error, and so is Go that does not compile, is not formatted, or is no program.
func TestMarksAndCodeThatAreWrongAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := runnable(block{page: "x.md", mark: "print x", text: "ls\n"}); err == nil {
		t.Error("a mark that is not known was taken")
	}
	const takesS = "func(s *triggerhook.Scheduler)"
	bad := map[string]struct{ mark, text, want string }{
		"program":  {"", "s.Run(ctx)\n", "program:7 is no whole program"},
		"mark":     {"prints x", "s.Run(ctx)\n", "mark:7 is no whole program"},
		"format":   {takesS, "_ =  s\n", "format:7 is not gofmt-clean"},
		"two":      {"func() {}; func g()", "return\n", "two:7: the comment above is no function"},
		"method":   {takesS, "s.Fly()\n", "method:7: s.Fly undefined"},
		"package":  {takesS, "kafka.Send(s)\n", "package:7: undefined: kafka"},
		"module":   {takesS, "h, err := dashboard.New(s)\n", "module:7: not enough arguments"},
		"result":   {takesS, "s.Namespace() == \"x\"\n", "result:7: s.Namespace() == \"x\" (untyped bool value) is not used"},
		"good":     {takesS + " (int, error)", "n := 1 // not used\nctx := context.Background()\nif err := s.Run(ctx); err != nil {\n\treturn 0, err\n}\n", ""},
		"returned": {"func() error", "return errors.New(\"x\")\n", ""},
	}
	var some []block
	for page, c := range bad {
		some = append(some, block{page: page, line: 7, lang: "go", mark: c.mark, text: c.text})
	}
	problems, err := compile(tree(t), t.TempDir(), some)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(problems, "\n")
	for page, c := range bad {
		if c.want != "" && !strings.Contains(got, c.want) || c.want == "" && strings.Contains(got, page+":") {
			t.Errorf("%s: want %q; the problems are:\n%s", page, c.want, got)
		}
	}
}

// A page that does not do what it says is an error; one that does is none.
func TestPagesThatFailAreSeen(t *testing.T) {
	t.Parallel()
	sh := func(mark, text string) block { return block{page: "x.md", line: 7, lang: "sh", mark: mark, text: text} }
	for name, c := range map[string]struct {
		some []block
		want string
	}{
		"a command fails":             {[]block{sh("", "true\nfalse\ntrue\n")}, "x.md:7 ends with exit status 1"},
		"a part of a pipe fails":      {[]block{sh("", "false | true\n")}, "x.md:7 ends with exit status 1"},
		"a variable is not set":       {[]block{sh("", "echo $nothing\n")}, "unbound variable"},
		"it prints something else":    {[]block{sh("prints ^b$", "echo ab\n")}, "nothing that matches ^b$"},
		"it ends and was to go on":    {[]block{sh("starts b", "echo a\n")}, "was to go on"},
		"it brings nothing":           {[]block{sh("starts a", "echo a; exec tail -f /dev/null\n"), sh("brings c", "true\n")}, "is not so after"},
		"it goes on, and fails later": {[]block{sh("starts a", "trap 'exit 3' INT; echo a; while :; do read -t 1 <> <(:) || :; done\n")}, "exit status 3"},
		"it hangs":                    {[]block{sh("", "exec tail -f /dev/null\n")}, "is not so after"},
		"all is well": {[]block{
			{page: "x.md", mark: "file f", text: "text\n"}, sh("", "mkdir d && mv f d && cd d\nexport V=1\n"), sh("prints ^text 1$", "echo \"$(cat f) $V\"\n"),
			sh("starts ready", "trap 'exit 0' INT; touch g; echo ready; while :; do read -t 1 <> <(:) || :; done\n"), sh("brings ready", "ls g\n"),
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &session{t: t, dir: t.TempDir(), env: os.Environ(), wait: 2 * time.Second, swap: strings.NewReplacer()}
			err := play(s, c.some)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// tree is the absolute path of the root.
func tree(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}
