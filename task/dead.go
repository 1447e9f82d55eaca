package task

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The bounds of what a dead letter tells of its end: the widths of the reason and last_error columns, in bytes.
const (
	MaxReason    = 255
	MaxLastError = 1024
)

// How a task ends as a dead letter. The reason of a dead letter is one of these, or begins with ReasonDiscarded, a colon, a
// space and the text of its handler.
const (
	ReasonExpired   = "expired"   // it would have been delivered later than Task.Expires
	ReasonAttempts  = "attempts"  // its last attempt failed
	ReasonDiscarded = "discarded" // its handler gave it up
)

// Burial asks a store to move a row to the dead letters.
type Burial struct {
	Ref
	Reason    string // 1 to MaxReason bytes
	Attempt   int    // how many of its attempts failed; a snooze is none
	LastError string // what the last delivery failed with, at most MaxLastError bytes; empty if none failed
	DeadMS    int64  // when the task died, unix milliseconds of the hot set's clock
}

// Check returns nil for a Burial that a store takes. For any other it returns an error that matches ErrInvalid.
func (b Burial) Check() error {
	switch {
	case b.Reason == "" || len(b.Reason) > MaxReason:
		return fmt.Errorf("%w: task %.32q dies for a reason of %d bytes, want 1 to %d", ErrInvalid, b.ID, len(b.Reason), MaxReason)
	case len(b.LastError) > MaxLastError:
		return fmt.Errorf("%w: task %.32q dies with an error text of %d bytes, at most %d are kept", ErrInvalid, b.ID, len(b.LastError), MaxLastError)
	case b.Attempt < 0 || b.DeadMS < 0:
		return fmt.Errorf("%w: task %.32q dies at %d ms after %d attempts, want neither below 0", ErrInvalid, b.ID, b.DeadMS, b.Attempt)
	}
	return nil
}

// CutText returns text as valid UTF-8 of at most that many bytes. It cuts between two characters.
func CutText(text string, most int) string {
	text = strings.ToValidUTF8(text[:min(len(text), most+utf8.UTFMax)], "\uFFFD")
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// Dead is a dead letter: a task that ended without success, as the durable store keeps it. One ID may have several, of
// different versions, and a living task beside them.
type Dead struct {
	Burial
	DueMS     int64  // the due time that its caller asked for
	CreatedMS int64  // for people
	ExpiresMS int64  // Task.Expires, 0 if it had none
	Payload   []byte // nil if it is empty
	Headers   string // encoded (EncodeHeaders), empty if there are none
}

// DeadFilter says which dead letters are meant. The zero DeadFilter means all of them.
type DeadFilter struct {
	IDPrefix string // what their IDs begin with
	Reason   string // what their reasons begin with
	FromMS   int64  // they died then or later
	BeforeMS int64  // they died before that; 0: at any time
}

// Matches reports whether f means d.
func (f DeadFilter) Matches(d Dead) bool {
	return strings.HasPrefix(d.ID, f.IDPrefix) && strings.HasPrefix(d.Reason, f.Reason) && f.FromMS <= d.DeadMS &&
		(f.BeforeMS == 0 || d.DeadMS < f.BeforeMS)
}

// DeadCursor is a place in a list of dead letters. The zero DeadCursor lies before all of them.
type DeadCursor struct {
	DeadMS int64 // when it died, unix milliseconds
	Ref
}

// Cursor returns the place of d.
func (d Dead) Cursor() DeadCursor { return DeadCursor{d.DeadMS, d.Ref} }

// DeadPage is one page of a list of dead letters.
type DeadPage struct {
	Dead []Dead     // those that the filter means, with their payloads
	Next DeadCursor // where the next page begins
	More bool       // there may be a next page
}
