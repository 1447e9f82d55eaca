package triggerhook

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/triggerhook/triggerhook/task"
)

// place is where a task or a dead letter lies in a list: its time and its ID, and of dead letters, which may share an ID, the version.
type place struct {
	ms  int64
	ref task.Ref
}

// list is a kind of list, the first byte of its cursors: a cursor of another list means nothing.
type list byte

const (
	ofTasks list = 't'
	ofDead  list = 'd'
)

// placeHeader is the length of what lies before the ID in a cursor: the kind of list, the time and the version.
const placeHeader = 1 + 8 + 8

// Cursor is the place of the task in lists, for Filter.After: printable ASCII without meaning. It is empty for an Info that neither Get nor List
// has returned.
func (i Info) Cursor() string {
	return place{i.at.NextMS, task.Ref{ID: i.at.ID}}.cursor(ofTasks)
}

// Cursor is the place of the dead letter in lists, for DeadFilter.After: printable ASCII without meaning. It is empty for a DeadTask that ListDead
// has not returned.
func (d DeadTask) Cursor() string { return place{d.at.DeadMS, d.at.Ref}.cursor(ofDead) }

// cursor is p as text, empty for the zero place.
func (p place) cursor(of list) string {
	if p == (place{}) {
		return ""
	}
	text := binary.BigEndian.AppendUint64([]byte{byte(of)}, uint64(p.ms))
	text = binary.BigEndian.AppendUint64(text, uint64(p.ref.Ver))
	return base64.RawURLEncoding.EncodeToString(append(text, p.ref.ID...))
}

// placeOf is the place of a cursor, the zero place of an empty one.
func placeOf(of list, cursor string) (place, error) {
	if cursor == "" {
		return place{}, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(text) <= placeHeader || text[0] != byte(of) {
		return place{}, fmt.Errorf("%w: %.40q is not a cursor of this list", ErrInvalid, cursor)
	}
	p := place{int64(binary.BigEndian.Uint64(text[1:])), task.Ref{ID: string(text[placeHeader:]), Ver: int64(binary.BigEndian.Uint64(text[9:]))}}
	if p.ms < 0 || p.ms > task.MaxDue || task.CheckID(p.ref.ID) != nil {
		return place{}, fmt.Errorf("%w: %.40q is not a cursor of this list", ErrInvalid, cursor)
	}
	return p, nil
}

// notAfter refuses a cursor where a call changes what matches: it has no pages.
func notAfter(field string, after bool) error {
	if !after {
		return nil
	}
	return fmt.Errorf("%w: %s is for lists alone", ErrInvalid, field)
}
