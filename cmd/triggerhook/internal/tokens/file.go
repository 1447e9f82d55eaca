package tokens

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookAgain is how long what was read of the file is used without a look at the file.
const lookAgain = time.Second

// File is a file of tokens. It is read again when it has changed: a request that comes a second later goes by its new content.
type File struct {
	path string
	log  *slog.Logger

	mu     sync.Mutex
	text   []byte // what was read last
	all    []Token
	looked time.Time
}

// Open reads a file of tokens. An error in it is returned.
func Open(path string, log *slog.Logger) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	all, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &File{path: path, log: log, text: text, all: all, looked: time.Now()}, nil
}

// Find returns the token that has this text.
func (f *File) Find(text string) (Token, bool) { return find(f.current(time.Now()), text) }

// current is what the file has. A file that cannot be read, or has an error, is logged, and the tokens from before go on: a slip in an
// edit locks no user out. It compares contents, because a time of change may be too coarse to tell two edits apart.
func (f *File) current(now time.Time) []Token {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.looked) < lookAgain {
		return f.all
	}
	f.looked = now
	text, err := os.ReadFile(f.path)
	if err != nil {
		f.log.Error("the tokens of before go on: the file cannot be read", "file", f.path, "err", err)
		return f.all
	}
	if bytes.Equal(text, f.text) {
		return f.all
	}
	f.text = text
	all, err := Parse(text)
	if err != nil {
		f.log.Error("the tokens of before go on: the file has an error", "file", f.path, "err", err)
		return f.all
	}
	f.all = all
	f.log.Info("tokens read again", "file", f.path, "tokens", len(all))
	return f.all
}
