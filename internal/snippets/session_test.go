package snippets

import (
	"bytes"
	"errors"
	"fmt"
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

// session runs the shell blocks of a page as a reader would: one after the other, in one folder.
type session struct {
	t    *testing.T
	dir  string
	env  []string
	wait time.Duration     // how long a command may take, and what it is to print
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
func (s *session) play(b block) error {
	script, err := runnable(b)
	if err != nil || script == "" {
		return err
	}
	if b.key() == "restarts" {
		if err := s.end(); err != nil {
			return err
		}
	}
	cmd, err := s.start(b, script)
	if err != nil {
		return err
	}
	if b.background() {
		s.back = append(s.back, cmd)
		err := s.await(cmd, func() bool { return cmd.matches(b.value()) || cmd.ended() })
		if err == nil && cmd.ended() {
			return fmt.Errorf("%s ends with %v, and was to go on:\n%s", b, cmd.err, &cmd.out)
		}
		return err
	}
	if err := s.await(cmd, cmd.ended); err != nil {
		return err
	}
	return s.judge(b, cmd)
}

// judge says what is wrong with a command that has ended.
func (s *session) judge(b block, cmd *running) error {
	switch {
	case cmd.err != nil:
		return fmt.Errorf("%s ends with %w:\n%s\n%s", b, cmd.err, b.text, &cmd.out)
	case b.key() == "prints" && !cmd.matches(b.value()):
		return fmt.Errorf("%s prints this, and nothing that matches %s:\n%s", b, b.value(), &cmd.out)
	case b.key() == "brings":
		return s.await(cmd, func() bool { return s.brought(b.value()) })
	}
	return nil
}

// brought tells whether something in the background has printed what matches, or a webhook has it.
func (s *session) brought(what string) bool {
	return s.sent.matches(what) || slices.ContainsFunc(s.back, func(r *running) bool { return r.matches(what) })
}

// start begins a script. What it exports, and the folder in which it ends, are those of the next one.
func (s *session) start(b block, script string) (*running, error) {
	exports, at := filepath.Join(s.dir, ".exports"), s.folder()
	text := "[ ! -e '" + exports + "' ] || . '" + exports + "'\n" + s.swap.Replace(script)
	if !b.background() {
		text += "\nexport -p >'" + exports + "'; pwd >'" + filepath.Join(s.dir, folderFile) + "'"
	}
	r := &running{Cmd: exec.Command("bash", "-euo", "pipefail", "-c", text), of: b, done: make(chan struct{})}
	r.Dir, r.Env, r.Stdout, r.Stderr = at, s.env, &r.out, &r.out
	r.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", b, err)
	}
	s.t.Cleanup(func() { _ = syscall.Kill(-r.Process.Pid, syscall.SIGKILL) }) // of a session that failed; ESRCH after one that did not
	go func() {
		r.err = r.Wait()
		close(r.done)
	}()
	return r, nil
}

// await waits until ok answers true.
func (s *session) await(r *running, ok func() bool) error {
	late := time.After(s.wait)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			return fmt.Errorf("%s (%s) is not so after %s:\n%s%s\n%s", r.of, r.of.mark, s.wait, r.of.text, &r.out, s.printed())
		}
	}
	return nil
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
func (s *session) end() (err error) {
	for _, r := range s.back {
		if r.ended() {
			err = errors.Join(err, fmt.Errorf("%s has ended before, with %v:\n%s", r.of, r.err, &r.out))
			continue
		}
		err = errors.Join(err, syscall.Kill(-r.Process.Pid, syscall.SIGINT), s.await(r, r.ended))
		if r.ended() && r.err != nil && !strings.Contains(r.of.text, "go run ") { // go run ends with 1 once it was interrupted, whatever its program did
			err = errors.Join(err, fmt.Errorf("%s ends with %w:\n%s", r.of, r.err, &r.out))
		}
	}
	s.back = nil
	return err
}

// folderFile has the folder in which the last script ended.
const folderFile = ".folder"

// folder is where the last block has left the reader.
func (s *session) folder() string {
	text, err := os.ReadFile(filepath.Join(s.dir, folderFile))
	if err != nil { // none has ended yet
		return s.dir
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

// matches tells whether what was printed so far matches.
func (o *output) matches(what string) bool {
	return regexp.MustCompile("(?m)" + what).MatchString(o.String())
}

// matches tells whether the output matches.
func (r *running) matches(what string) bool { return r.out.matches(what) }

// write writes the file of a block.
func (s *session) write(b block) error {
	return os.WriteFile(filepath.Join(s.folder(), filepath.Base(b.value())), []byte(s.swap.Replace(b.text)), 0o600)
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
