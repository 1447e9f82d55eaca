package snippets

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// block is a fenced block of a page.
type block struct {
	page string // its path in the tree
	line int    // of the first line of text
	lang string
	mark string // what the comment above says
	text string
}

// String is the place of a block, as errors name it.
func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// key is the first word of the mark, and value the rest.
func (b block) key() string   { key, _, _ := strings.Cut(b.mark, " "); return key }
func (b block) value() string { _, value, _ := strings.Cut(b.mark, " "); return value }

// background tells whether a block goes on while those after it run.
func (b block) background() bool { return b.key() == "starts" || b.key() == "restarts" }

// shell tells whether a block is for a shell.
func (b block) shell() bool { return b.lang == "sh" || b.lang == "bash" || b.lang == "console" }

// pages are the paths of all pages in the tree that users and developers read.
func pages(root string) (all []string, err error) {
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "*/README.md", "*/*/README.md", "cmd/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			name, err := filepath.Rel(root, path)
			if err != nil {
				return nil, err
			}
			all = append(all, filepath.ToSlash(name))
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// blocks are those of all pages.
func blocks(root string) (all []block, err error) {
	names, err := pages(root)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		some, err := blocksOf(name, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

var (
	fence   = regexp.MustCompile("^( *)```([\\w-]*)$")
	comment = regexp.MustCompile(`^ *<!-- snippet: (.*) -->$`)
	list    = regexp.MustCompile(`^\s*([-*]|\d+\.) `)
)

// blocksOf are the blocks of a page.
func blocksOf(page, text string) (all []block, err error) {
	lines := strings.Split(text, "\n")
	listed := false // the last paragraph is of a list
	for i := 0; i < len(lines); i++ {
		switch open := fence.FindStringSubmatch(lines[i]); {
		case open != nil:
			n := slices.Index(lines[i+1:], open[1]+"```")
			if n < 0 {
				return nil, fmt.Errorf("%s:%d: the block has no end", page, i+1)
			}
			all = append(all, newBlock(page, lines, i, n, open))
			i += n + 1
		case lines[i] == "":
		case comment.MatchString(lines[i]) && !fence.MatchString(lines[min(i+1, len(lines)-1)]):
			return nil, fmt.Errorf("%s:%d: a comment about a block, and no block below it", page, i+1)
		case strings.HasPrefix(lines[i], "    ") && i > 0 && lines[i-1] == "" && !listed:
			return nil, fmt.Errorf("%s:%d: code without a fence, which no test sees", page, i+1)
		default:
			listed = list.MatchString(lines[i]) || listed && strings.HasPrefix(lines[i], " ")
		}
	}
	return all, nil
}

// newBlock is the block whose fence is line i, with n lines.
func newBlock(page string, lines []string, i, n int, open []string) block {
	b := block{page: page, line: i + 2, lang: open[2]}
	if i > 0 {
		if m := comment.FindStringSubmatch(lines[i-1]); m != nil {
			b.mark = m[1]
		}
	}
	for _, line := range lines[i+1 : i+1+n] {
		b.text += strings.TrimPrefix(line, open[1]) + "\n"
	}
	return b
}
