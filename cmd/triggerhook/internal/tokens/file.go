package tokens

import (
	"log/slog"

	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/reread"
)

// File is a file of tokens. It is read again when it has changed: a request that comes a second later goes by its new content. If that
// has an error, the tokens from before go on and the log says so: a slip in an edit locks no user out.
type File struct{ *reread.Files[[]Token] }

// Open reads a file of tokens. An error in it is returned.
func Open(path string, log *slog.Logger) (*File, error) {
	files, err := reread.Open("tokens", log, func(texts [][]byte) ([]Token, error) { return Parse(texts[0]) }, path)
	if err != nil {
		return nil, err
	}
	return &File{files}, nil
}

// Find returns the token that has this text.
func (f *File) Find(text string) (Token, bool) { return find(f.Get(), text) }
