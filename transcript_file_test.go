package triggerhook_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A transcript is a file of steps. Comments begin with #. A step is a line with a command, its
// operands, and arguments of the form name=value; then a line of four dashes; then what the step
// prints, up to the next empty line. The format is that of github.com/cockroachdb/datadriven.

// transcript is the lines of a file and the steps in it.
type transcript struct {
	path  string
	parts []part
}

// part is a run of comments and empty lines, or a step.
type part struct {
	text string // of comments and empty lines
	step *step
}

// step is one command, with what it printed when the file was written.
type step struct {
	line     int
	text     string
	command  string
	operands []string
	args     map[string]string
	used     map[string]bool // arguments that the command has asked for
	want     string
}

const dashes = "----"

// readTranscript reads a file. The error names the line and the rule that it breaks.
func readTranscript(path string) (*transcript, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	parts, err := parseTranscript(strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	return &transcript{path: path, parts: parts}, nil
}

func parseTranscript(lines []string) (parts []part, err error) {
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" || strings.HasPrefix(lines[i], "#") {
			parts = append(parts, part{text: lines[i]})
			continue
		}
		s, err := parseStep(i+1, lines[i])
		if err != nil {
			return nil, err
		}
		if i++; i == len(lines) || lines[i] != dashes {
			return nil, fmt.Errorf("%d: a step is followed by a line of four dashes", i+1)
		}
		from := i + 1
		for i+1 < len(lines) && lines[i+1] != "" {
			i++
		}
		s.want = strings.Join(lines[from:i+1], "\n")
		parts = append(parts, part{step: s})
	}
	if !slices.ContainsFunc(parts, func(p part) bool { return p.step != nil }) {
		return nil, errors.New("1: there is no step")
	}
	return parts, nil
}

func parseStep(line int, text string) (*step, error) {
	words := strings.Fields(text)
	s := &step{line: line, text: text, command: words[0], args: map[string]string{}, used: map[string]bool{}}
	for _, w := range words[1:] {
		name, value, is := strings.Cut(w, "=")
		switch {
		case !is:
			s.operands = append(s.operands, w)
		case name == "" || value == "" || s.args[name] != "":
			return nil, fmt.Errorf("%d: %q: an argument is name=value, each name once", line, w)
		default:
			s.args[name] = value
		}
	}
	return s, nil
}

// arg returns an argument, and whether it was given.
func (s *step) arg(name string) (string, bool) {
	s.used[name] = true
	v, is := s.args[name]
	return v, is
}

// unused returns the arguments that the command does not know.
func (s *step) unused() (names []string) {
	for name := range s.args {
		if !s.used[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// rewritten is the file with what the steps print now.
func (t *transcript) rewritten(got map[*step]string) string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.step == nil {
			b.WriteString(p.text + "\n")
			continue
		}
		b.WriteString(p.step.text + "\n" + dashes + "\n" + got[p.step] + "\n")
	}
	return b.String()
}
