package snippets

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// wait is how long a command may take, or what it is to print.
const wait = 60 * time.Second

// session runs the shell blocks of a page as a reader would: one after the other, in one folder.
type session struct {
	t    *testing.T
	dir  string
	env  []string
	swap *strings.Replacer // names of servers in the pages, and the servers of the test
	back []*running        // what goes on in the background
	sent output            // bodies of the webhooks that have come
}

// output is what a command has printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(some []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(some)
}

// String is all of it.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// running is a command that has begun.
type running struct {
	*exec.Cmd
	of   block
	out  output
	done chan struct{} // closed once err is set
	err  error
}

// play runs a block, as its mark says.
func (s *session) play(b block) {
	s.t.Helper()
	script, err := runnable(b)
	if err != nil {
		s.t.Fatal(err)
	}
	if script == "" {
		return
	}
	if b.key() == "restarts" {
		s.end()
	}
	cmd := s.start(b, script)
	if b.background() {
		s.back = append(s.back, cmd)
		s.await(cmd, func() bool { return cmd.matches(b.value())() || cmd.ended() })
		if cmd.ended() {
			s.t.Fatalf("%s ends with %v, and was to go on:\n%s", b, cmd.err, &cmd.out)
		}
		return
	}
	s.await(cmd, cmd.ended)
	switch {
	case cmd.err != nil:
		s.t.Fatalf("%s ends with %v:\n%s\n%s", b, cmd.err, script, &cmd.out)
	case b.key() == "prints" && !cmd.matches(b.value())():
		s.t.Fatalf("%s prints this, and nothing that matches %s:\n%s", b, b.value(), &cmd.out)
	case b.key() == "brings":
		s.await(cmd, func() bool { return s.brought(b.value()) })
	}
}

// brought tells whether something in the background has printed what matches, or a webhook has it.
func (s *session) brought(what string) bool {
	if regexp.MustCompile("(?m)" + what).MatchString(s.sent.String()) {
		return true
	}
	for _, r := range s.back {
		if r.matches(what)() {
			return true
		}
	}
	return false
}

// start begins a script. What it exports the next one sees.
func (s *session) start(b block, script string) *running {
	s.t.Helper()
	exports, at := filepath.Join(s.dir, ".exports"), s.folder()
	text := "[ ! -e '" + exports + "' ] || . '" + exports + "'\n" + s.swap.Replace(script)
	if !b.background() {
		text += "\nexport -p >'" + exports + "'; pwd >'" + filepath.Join(s.dir, ".folder") + "'"
	}
	r := &running{Cmd: exec.Command("bash", "-euo", "pipefail", "-c", text), of: b, done: make(chan struct{})}
	r.Dir, r.Env, r.Stdout, r.Stderr = at, s.env, &r.out, &r.out
	r.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.Start(); err != nil {
		s.t.Fatalf("%s: %v", b, err)
	}
	s.t.Cleanup(func() { _ = syscall.Kill(-r.Process.Pid, syscall.SIGKILL) }) // of a session that failed; ESRCH after one that did not
	go func() {
		r.err = r.Wait()
		close(r.done)
	}()
	return r
}

// await waits until ok answers true.
func (s *session) await(r *running, ok func() bool) {
	s.t.Helper()
	late := time.After(wait)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatalf("%s (%s) is not so after %s:\n%s%s\n%s", r.of, r.of.mark, wait, r.of.text, &r.out, s.printed())
		}
	}
}

// printed is what all commands in the background have printed.
func (s *session) printed() string {
	all := "webhooks: " + s.sent.String() + "\n"
	for _, r := range s.back {
		all += fmt.Sprintf("%s:\n%s", r.of, &r.out)
	}
	return all
}

// end interrupts what is in the background, as Ctrl-C does.
func (s *session) end() {
	s.t.Helper()
	for _, r := range s.back {
		if err := syscall.Kill(-r.Process.Pid, syscall.SIGINT); err != nil {
			s.t.Errorf("%s has ended before: %v\n%s", r.of, err, &r.out)
			continue
		}
		s.await(r, r.ended)
		if r.err != nil && !strings.Contains(r.of.text, "go run ") { // go run ends with 1 once it was interrupted, whatever its program did
			s.t.Errorf("%s ends with %v:\n%s", r.of, r.err, &r.out)
		}
	}
	s.back = nil
}

// folder is where the last block has left the reader.
func (s *session) folder() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, ".folder"))
	if errors.Is(err, fs.ErrNotExist) {
		return s.dir
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func (r *running) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// matches tells whether the output matches; of a command that has ended all of it is there.
func (r *running) matches(what string) func() bool {
	re := regexp.MustCompile("(?m)" + what)
	return func() bool { return re.MatchString(r.out.String()) }
}

// write writes the file of a block.
func (s *session) write(b block) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.folder(), filepath.Base(b.value())), []byte(s.swap.Replace(b.text)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// runnable is a block without the lines that are not run, "" if none is left.
func runnable(b block) (string, error) {
	if key := b.key(); b.mark != "" && !slices.Contains([]string{"prints", "starts", "restarts", "brings"}, key) {
		return "", fmt.Errorf("%s: what is %q?", b, b.mark)
	}
	var left strings.Builder
	for _, line := range commands(b.text) {
		if listed(b.page, line) < 0 {
			left.WriteString(line)
		}
	}
	return left.String(), nil
}

// commands are the lines of a shell block; one that ends with a backslash goes on.
func commands(text string) (all []string) {
	for line := range strings.Lines(text) {
		if n := len(all); n > 0 && strings.HasSuffix(all[n-1], "\\\n") {
			all[n-1] += line
			continue
		}
		all = append(all, line)
	}
	return all
}

// listed is the index of the entry of notRun for a line, -1 if there is none.
func listed(page, line string) int {
	for i, s := range notRun {
		if s.page == page && strings.HasPrefix(line, s.line) {
			return i
		}
	}
	return -1
}
