package hotset

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/triggerhook/triggerhook/task"
)

// A member is how Redis names a version of a task: the id, and the version as verLen bytes, big-endian. A UUID as most
// programs write it (36 characters, lower-case, hyphens at 8, 13, 18 and 23) is not stored as text, but as uuidMark and its 16
// bytes. All other ids are stored as they are.
//
// Invariants: a version of a task has one member, and no two have the same. No legal id begins with uuidMark, because ids are
// valid UTF-8; and what parseMember reads is written the same way. No member begins with NUL, because no id has one:
// the marks of remove.lua begin with it.
const (
	verLen   = 8
	uuidMark = 0xFF
	uuidLen  = 16
	textLen  = 36 // of a UUID
)

// hyphens are where a UUID has them, as text.
var hyphens = [...]int{8, 13, 18, 23}

func encodeMember(r task.Ref) string {
	var text strings.Builder
	writeMember(&text, r)
	return text.String()
}

func writeMember(to *strings.Builder, r task.Ref) {
	if uuid, is := parseUUID(r.ID); is {
		to.WriteByte(uuidMark)
		to.Write(uuid[:])
	} else {
		to.WriteString(r.ID)
	}
	var ver [verLen]byte
	binary.BigEndian.PutUint64(ver[:], uint64(r.Ver))
	to.Write(ver[:])
}

func parseMember(m string) (r task.Ref, err error) {
	if len(m) <= verLen {
		return r, fmt.Errorf("member of %d bytes is too short", len(m))
	}
	at := len(m) - verLen
	if r.ID, err = parseID(m[:at]); err != nil {
		return r, err
	}
	r.Ver = int64(binary.BigEndian.Uint64([]byte(m[at:])))
	return r, nil
}

// parseID returns the id that a member begins with.
func parseID(from string) (string, error) {
	if from[0] == uuidMark {
		if len(from) != 1+uuidLen {
			return "", fmt.Errorf("member with a UUID of %d bytes", len(from)-1)
		}
		return formatUUID(from[1:]), nil
	}
	if _, is := parseUUID(from); is {
		return "", errors.New("member with a UUID as text")
	}
	return from, nil
}

// parseUUID returns the bytes of a UUID, and whether id is one that formatUUID writes the same way.
func parseUUID(id string) (uuid [uuidLen]byte, is bool) {
	if len(id) != textLen {
		return uuid, false
	}
	n := 0 // of digits
	for i := range textLen {
		digit := id[i]
		switch {
		case i == hyphens[0] || i == hyphens[1] || i == hyphens[2] || i == hyphens[3]:
			if digit != '-' {
				return uuid, false
			}
			continue
		case digit >= '0' && digit <= '9':
			digit -= '0'
		case digit >= 'a' && digit <= 'f':
			digit -= 'a' - 10
		default:
			return uuid, false
		}
		uuid[n/2] |= digit << (4 * (1 - n%2))
		n++
	}
	return uuid, true
}

func formatUUID(uuid string) string {
	var digits [2 * uuidLen]byte
	hex.Encode(digits[:], []byte(uuid))
	text, from := make([]byte, 0, textLen), 0
	for i, at := range hyphens {
		text = append(append(text, digits[from:at-i]...), '-')
		from = at - i
	}
	return string(append(text, digits[from:]...))
}
