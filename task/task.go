// Package task holds what every part of Trigger Hook shares: the task as its
// caller made it, its row in the durable store, its member of the hot set, and
// the sentinel errors. It imports nothing of the module.
package task

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Task is a one-off task as its caller made it. The library never changes a
// field of a task that it was handed, except that Create fills an empty ID and
// rounds Due and Expires up to the millisecond in UTC.
type Task struct {
	// ID is the caller's own string, 1 to MaxID bytes of valid UTF-8 without
	// NUL and not only white space; it is never trimmed. Left empty, Create
	// makes a UUIDv7.
	ID string
	// Due is the time before which the task is not delivered. One in the past
	// is legal: the task fires at once.
	Due time.Time
	// Payload is the caller's own bytes, opaque to the library. An empty one
	// comes back as nil.
	Payload []byte
	// Headers is small metadata beside the payload, such as a trace context, a tenant or a
	// content type: keys that are not empty, keys and values of valid UTF-8, at most MaxHeaders
	// bytes once they are encoded (EncodeHeaders). The library gives them no meaning. An empty map comes back as nil. A
	// task without headers costs nothing for them.
	Headers map[string]string
	// Expires, if it is set, is the last time at which the task may be delivered, no earlier than Due. A task that would be
	// delivered later becomes a dead letter (ReasonExpired), and no handler sees it.
	Expires time.Time
}

// MaxID is the length in bytes of the longest ID: the width of the id column.
const MaxID = 128

// MaxDue is the last millisecond that Due may name: the end of year 9999, where
// RFC 3339 and MySQL's DATETIME end.
const MaxDue int64 = 253402300799999

// CheckID returns nil for a legal ID. For any other it returns an error that matches
// ErrInvalid and names the value and the rule.
func CheckID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: id is empty", ErrInvalid)
	case len(id) > MaxID:
		return fmt.Errorf("%w: id %.32q... is %d bytes long, at most %d are allowed", ErrInvalid, id, len(id), MaxID)
	case !utf8.ValidString(id):
		return fmt.Errorf("%w: id %q is not valid UTF-8", ErrInvalid, id)
	case strings.IndexByte(id, 0) >= 0:
		return fmt.Errorf("%w: id %q contains NUL", ErrInvalid, id)
	case strings.TrimSpace(id) == "":
		return fmt.Errorf("%w: id %q is only white space", ErrInvalid, id)
	}
	return nil
}

// DueMS returns due in unix milliseconds, rounded up so that a task is never
// early. The error matches ErrInvalid: due is the zero time, lies before 1970
// or beyond year 9999.
func DueMS(due time.Time) (int64, error) {
	if due.IsZero() {
		return 0, fmt.Errorf("%w: due is the zero time", ErrInvalid)
	}
	return roundUp("due", due)
}

// ExpiresMS returns expires, of a task that is due at that time, in unix milliseconds, rounded up as DueMS does; 0 for the zero
// time. The error matches ErrInvalid: expires lies before due, or is out of the range of DueMS.
func ExpiresMS(expires time.Time, dueMS int64) (int64, error) {
	if expires.IsZero() {
		return 0, nil
	}
	ms, err := roundUp("expires", expires)
	if err == nil && ms < dueMS {
		err = fmt.Errorf("%w: expires %s lies before due %s", ErrInvalid, text(expires), text(time.UnixMilli(dueMS)))
	}
	return max(ms, 1), err // 0 would mean never
}

// Expiry returns the time of a row's ExpiresMS, for Task.Expires.
func Expiry(expiresMS int64) time.Time {
	if expiresMS == 0 {
		return time.Time{}
	}
	return time.UnixMilli(expiresMS).UTC()
}

func text(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// roundUp returns a time of that name in unix milliseconds, rounded up.
func roundUp(name string, t time.Time) (int64, error) {
	if t.Unix() < 0 {
		return 0, fmt.Errorf("%w: %s %s lies before 1970", ErrInvalid, name, text(t))
	}
	ms := MaxDue + 1
	if t.Unix() <= MaxDue/1000 { // otherwise UnixMilli may overflow
		ms = t.UnixMilli()
	}
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		ms++
	}
	if ms > MaxDue {
		return 0, fmt.Errorf("%w: %s %s lies beyond year 9999", ErrInvalid, name, text(t))
	}
	return ms, nil
}

// Partition returns the partition, 0 to n-1, of the task called id. It is the
// same for ever: crc32 (IEEE) of the id modulo n.
func Partition(id string, n int) int {
	if n == 1 {
		return 0
	}
	sum := ^uint32(0) // crc32.ChecksumIEEE would need a copy of id on the heap
	for i := range len(id) {
		sum = crc32.IEEETable[byte(sum)^id[i]] ^ sum>>8
	}
	return int(^sum % uint32(n))
}

// CheckNamespace returns nil for a legal namespace. For any other it returns an error that
// matches ErrInvalid. A namespace is a prefix of tables and of keys, so few characters are
// legal: [a-z][a-z0-9_]{0,31}.
func CheckNamespace(ns string) error {
	ok := len(ns) >= 1 && len(ns) <= 32 && ns[0] >= 'a' && ns[0] <= 'z'
	for i := 0; ok && i < len(ns); i++ {
		c := ns[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_'
	}
	if !ok {
		return fmt.Errorf("%w: namespace %q does not match [a-z][a-z0-9_]{0,31}", ErrInvalid, ns)
	}
	return nil
}

// DefaultNamespace is the namespace of options that name none.
const DefaultNamespace = "triggerhook"

// Sentinel errors, aliased by the root package. Compare with errors.Is.
var (
	// ErrInvalid: the input breaks a rule that the message names; nothing was stored.
	ErrInvalid = errors.New("invalid")
	// ErrExists: a task of that ID exists; nothing was stored.
	ErrExists = errors.New("task exists")
	// ErrNotFound: no task of that ID exists.
	ErrNotFound = errors.New("task not found")
	// ErrClaimed: the task was deleted, but a worker had claimed it before, or may have.
	ErrClaimed = errors.New("task was already claimed")
	// ErrGone: the delivered version of the task no longer exists: it was
	// confirmed, deleted or rescheduled before.
	ErrGone = errors.New("task is gone")
	// ErrSettled: this delivery was confirmed or rolled back by its caller before.
	ErrSettled = errors.New("delivery is already settled")
	// ErrRunning: Run or Handle is running.
	ErrRunning = errors.New("already running")
	// ErrClosed: Run or Handle has begun to drain, or has returned; or a store, or the
	// client of one, is closed.
	ErrClosed = errors.New("closed")
	// ErrLeaseLost is the cause of the end of a Delivery's Context: its lease is over.
	ErrLeaseLost = errors.New("lease is over")
	// ErrTimeout is the cause of the end of a Delivery's Context: the caller has had the
	// delivery for DeliveryTimeout.
	ErrTimeout = errors.New("delivery timeout")
	// ErrAbandoned: some handlers had not returned when Handle did.
	ErrAbandoned = errors.New("not answered in time")
	// ErrNotMigrated: the durable store lacks its schema; call Migrate.
	ErrNotMigrated = errors.New("not migrated")
	// ErrMismatch: the namespaces of the stores differ, or the number of partitions or the
	// durable store is another one than is recorded.
	ErrMismatch = errors.New("mismatch")
	// ErrRefused: access is denied, or the server has a setting that the library cannot
	// work with. Waiting does not help.
	ErrRefused = errors.New("refused")
	// ErrTooLarge: above the limit of one call, or the server does not take a statement or value of that size.
	ErrTooLarge = errors.New("too large")
	// ErrReadOnly: the server takes no writes at present.
	ErrReadOnly = errors.New("server is read-only")
	// ErrUnavailable: the server cannot be reached or does not answer at present.
	ErrUnavailable = errors.New("unavailable")
	// ErrDiskFull: the server, or the file, has no room to write at present. It matches
	// ErrUnavailable too.
	ErrDiskFull = fmt.Errorf("%w: disk full", ErrUnavailable)
	// ErrPaused: Scheduler.Pause has told producers to wait; nothing was stored.
	ErrPaused = errors.New("paused")
	// ErrUnsupported: the store does not have what the call needs, for example transactions of the caller's own.
	ErrUnsupported = errors.New("not supported by this store")
)

// IDError names the tasks of a call that an error is about. errors.Is matches the
// sentinel of each list that is not empty.
type IDError struct {
	Invalid  []string // ErrInvalid
	Exists   []string // ErrExists
	NotFound []string // ErrNotFound
	Claimed  []string // ErrClaimed
}

// Error names up to three IDs of each list, and counts the tasks without one.
func (e *IDError) Error() string {
	var parts []string
	for _, l := range e.lists() {
		if len(l.ids) > 0 {
			parts = append(parts, l.err.Error()+": "+sample(l.ids))
		}
	}
	return strings.Join(parts, "; ")
}

// Is reports whether target is the sentinel of a list that is not empty.
func (e *IDError) Is(target error) bool {
	for _, l := range e.lists() {
		if l.err == target && len(l.ids) > 0 {
			return true
		}
	}
	return false
}

type idList struct {
	err error
	ids []string
}

func (e *IDError) lists() [4]idList {
	return [4]idList{{ErrInvalid, e.Invalid}, {ErrExists, e.Exists}, {ErrNotFound, e.NotFound}, {ErrClaimed, e.Claimed}}
}

// quoted is an ID as messages have it: cut after MaxID bytes, because an ID that was refused may have any length.
func quoted(id string) string {
	if len(id) > MaxID {
		return strconv.Quote(id[:MaxID]) + "..."
	}
	return strconv.Quote(id)
}

// sample names the first of ids. It counts the empty ones, because they have no name.
func sample(ids []string) string {
	const most = 3
	var parts []string
	named := 0
	for _, id := range ids {
		if id == "" {
			continue
		}
		if named++; named <= most {
			parts = append(parts, quoted(id))
		}
	}
	text := strings.Join(parts, ", ")
	if named > most {
		text += fmt.Sprintf(" and %d more", named-most)
	}
	if without := len(ids) - named; without > 0 {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%d without an id", without)
	}
	return text
}
