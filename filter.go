package triggerhook

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/triggerhook/triggerhook/task"
)

// Filter selects tasks, for List, DeleteWhere and RescheduleWhere. A task matches if it matches each field that is
// set. The zero Filter matches all tasks.
//
// A task is found by its ID prefix if there is one, and otherwise by its time; all else is compared afterwards. So a
// call with an IDPrefix reads all tasks of that prefix, and a call without one reads all tasks of that time.
type Filter struct {
	// IDPrefix is how the ID begins, compared as bytes: "customer-42/" are all tasks of one customer, if
	// their IDs are made so. It is valid UTF-8, without NUL, and not longer than an ID.
	IDPrefix string
	// DueFrom and DueBefore bound when the task is next offered, as its row has it: Task.Due, or later after a
	// Rollback beyond the window. DueFrom itself matches, DueBefore itself does not. A zero time is no bound.
	DueFrom, DueBefore time.Time
	// Headers are headers that the task has, with these values. It may have others.
	Headers map[string]string
	// After is for pages of a list: the Info.Cursor of the last task of the page before. List begins after the place of that task, which need not
	// exist any more, so that a page costs the same wherever it lies. DeleteWhere and RescheduleWhere refuse it.
	After string
}

// match is a Filter that was checked, with its times in unix milliseconds.
type match struct {
	prefix          string
	fromMS, belowMS int64
	notMS           int64 // what is next offered then does not match; 0: there is no such time
	after           task.Cursor
	headers         map[string]string
}

// match checks f.
func (f Filter) match() (match, error) {
	m := match{prefix: f.IDPrefix, belowMS: task.MaxDue + 1, headers: f.Headers}
	from, below, wrong := timeBounds("Filter.DueFrom", f.DueFrom, "Filter.DueBefore", f.DueBefore)
	if m.fromMS = from; !f.DueBefore.IsZero() {
		m.belowMS = below
	}
	_, headers := task.EncodeHeaders(f.Headers)
	after, noPlace := placeOf(ofTasks, f.After)
	m.after = task.Cursor{NextMS: after.ms, ID: after.ref.ID}
	return m, errors.Join(checkPrefix("Filter.IDPrefix", f.IDPrefix), wrong, named("Filter.Headers", headers), named("Filter.After", noPlace))
}

// timeBounds returns the bounds of a filter in unix milliseconds, 0 for a zero time. It refuses what no time lies between.
func timeBounds(fromField string, from time.Time, beforeField string, before time.Time) (fromMS, beforeMS int64, err error) {
	var wrong error
	if !from.IsZero() {
		fromMS, err = task.DueMS(from)
	}
	if !before.IsZero() {
		beforeMS, wrong = task.DueMS(before)
	}
	err = errors.Join(named(fromField, err), named(beforeField, wrong))
	if err == nil && !before.IsZero() && fromMS >= beforeMS {
		err = fmt.Errorf("%w: %s %s is not before %s %s", ErrInvalid, fromField, from.UTC().Format(time.RFC3339Nano), beforeField, before.UTC().Format(time.RFC3339Nano))
	}
	return fromMS, beforeMS, err
}

// named names the field that an error is about.
func named(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("field %s: %w", field, err)
}

// checkPrefix refuses a prefix that no ID has.
func checkPrefix(field, prefix string) error {
	switch {
	case len(prefix) > task.MaxID:
		return fmt.Errorf("%w: %s %.32q... is %d bytes long, an ID has at most %d", ErrInvalid, field, prefix, len(prefix), task.MaxID)
	case !utf8.ValidString(prefix):
		return fmt.Errorf("%w: %s %q is not valid UTF-8", ErrInvalid, field, prefix)
	case strings.IndexByte(prefix, 0) >= 0:
		return fmt.Errorf("%w: %s %q contains NUL", ErrInvalid, field, prefix)
	}
	return nil
}

// span is m without its headers.
func (m match) span() task.Range {
	return task.Range{IDPrefix: m.prefix, FromMS: m.fromMS, BelowMS: m.belowMS, NotMS: m.notMS}
}

// all reports whether m matches all tasks.
func (m match) all() bool {
	return m.prefix == "" && m.fromMS == 0 && m.belowMS > task.MaxDue && len(m.headers) == 0
}

// place reports whether a row matches, its headers aside.
func (m match) place(r task.Row) bool {
	return strings.HasPrefix(r.ID, m.prefix) && r.NextMS >= m.fromMS && r.NextMS < m.belowMS && (m.notMS == 0 || r.NextMS != m.notMS)
}

// row reports whether a row that has its headers matches.
func (m match) row(r task.Row) (bool, error) {
	info, err := infoOf(r)
	return err == nil && m.place(r) && m.has(info.Headers), err
}

// has reports whether headers match.
func (m match) has(headers map[string]string) bool {
	for key, want := range m.headers {
		if value, is := headers[key]; !is || value != want {
			return false
		}
	}
	return true
}
