package hotset

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/triggerhook/triggerhook/task"
)

// keys names the keys of one partition. All carry one hash tag, {namespace:p}, so
// that they live on one node of a cluster; none has a TTL.
type keys struct {
	prefix string
	fixed  []string // meta, waiting, task, lease, gone:0..2: KEYS[1] to KEYS[7] of each script
}

func makeKeys(ns string, p int) keys {
	k := keys{prefix: fmt.Sprintf("{%s:%d}:", ns, p)}
	for _, name := range []string{"meta", "waiting", "task", "lease", "gone:0", "gone:1", "gone:2"} {
		k.fixed = append(k.fixed, k.prefix+name)
	}
	return k
}

func (k keys) batch(token string) string { return k.prefix + "batch:" + token }
func (k keys) lease() string             { return k.prefix + "lease" }
func (k keys) agent() string             { return k.prefix + "agent" }
func (k keys) workers() []string         { return []string{k.agent(), k.prefix + "worker"} }
func (k keys) wake() string              { return k.prefix + "wake" }
func (k keys) check() string             { return k.prefix + "check" }

// entryFormat is the format of members and entries, which each generation notes in meta. A partition of another format
// is refused (MISMATCH): prelude.lua compares it, horizon.lua writes it.
const entryFormat = "2"

// verLen is the length of a version at the end of a member, big-endian.
const verLen = 8

// encodeMember returns how Redis names a version of a task: its id and its version.
func encodeMember(r task.Ref) string {
	var text strings.Builder
	writeMember(&text, r)
	return text.String()
}

func writeMember(to *strings.Builder, r task.Ref) {
	var ver [verLen]byte
	binary.BigEndian.PutUint64(ver[:], uint64(r.Ver))
	to.WriteString(r.ID)
	to.Write(ver[:])
}

func parseMember(m string) (task.Ref, error) {
	if len(m) <= verLen {
		return task.Ref{}, fmt.Errorf("member of %d bytes is too short", len(m))
	}
	at := len(m) - verLen
	return task.Ref{ID: m[:at], Ver: int64(binary.BigEndian.Uint64([]byte(m[at:])))}, nil
}

// entryLen is about how long an encoded entry is without its headers and payload.
const entryLen = 45

// encodeEntry returns what Redis keeps for a member: next_ms:due_ms:attempt:flag:rest. With the flag "i" the rest is the
// payload. With "h" it is the length of the headers, a colon, the headers and the payload. With "x" headers and payload are
// in the durable store alone, and there is no rest. The flag "e" comes before one of the others, with a colon, expires_ms and a
// colon in between: the task expires then. "c" does likewise, after "e", with created_ms.
func encodeEntry(e task.Entry) string {
	var text strings.Builder
	writeEntry(&text, e)
	return text.String()
}

func writeEntry(to *strings.Builder, e task.Entry) {
	var number [20]byte
	for _, n := range [...]int64{e.NextMS, e.DueMS, int64(e.Attempt)} {
		to.Write(append(strconv.AppendInt(number[:0], n, 10), ':'))
	}
	if e.External {
		to.WriteString("x:")
		return
	}
	if e.ExpiresMS != 0 {
		to.WriteString("e:")
		to.Write(append(strconv.AppendInt(number[:0], e.ExpiresMS, 10), ':'))
	}
	if e.CreatedMS != 0 {
		to.WriteString("c:")
		to.Write(append(strconv.AppendInt(number[:0], e.CreatedMS, 10), ':'))
	}
	switch {
	case e.Headers != "":
		to.WriteString("h:")
		to.Write(append(strconv.AppendInt(number[:0], int64(len(e.Headers)), 10), ':'))
		to.WriteString(e.Headers)
	default:
		to.WriteString("i:")
	}
	to.Write(e.Payload)
}

func parseEntry(ref task.Ref, entry string) (task.Entry, error) {
	e, payload, err := splitEntry(ref, entry)
	if payload != "" {
		e.Payload = []byte(payload)
	}
	return e, err
}

// splitEntry is parseEntry, except that it leaves the payload as text.
func splitEntry(ref task.Ref, entry string) (e task.Entry, payload string, err error) {
	e.Ref = ref
	var nums [3]int64
	rest := entry
	for i := range nums {
		text, after, ok := strings.Cut(rest, ":")
		if !ok {
			return e, "", fmt.Errorf("entry of %q has a strange shape", ref.ID)
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return e, "", fmt.Errorf("entry of %q has a strange number: %w", ref.ID, err)
		}
		nums[i], rest = n, after
	}
	flag, rest, ok := strings.Cut(rest, ":")
	e.NextMS, e.DueMS, e.Attempt = nums[0], nums[1], int(nums[2])
	if ok && flag == "e" {
		e.ExpiresMS, flag, rest, ok = splitTime(rest)
	}
	if ok && flag == "c" {
		e.CreatedMS, flag, rest, ok = splitTime(rest)
	}
	switch {
	case ok && flag == "i":
		return e, rest, nil
	case ok && flag == "x" && rest == "" && e.ExpiresMS == 0 && e.CreatedMS == 0:
		e.External = true
		return e, "", nil
	case ok && flag == "h":
		e.Headers, payload, ok = splitHeaders(rest)
	default:
		ok = false
	}
	if !ok {
		return e, "", fmt.Errorf("entry of %q has a strange shape", ref.ID)
	}
	return e, payload, nil
}

// splitTime parts a time from the flag and the rest after it.
func splitTime(from string) (ms int64, flag, rest string, ok bool) {
	number, from, _ := strings.Cut(from, ":")
	ms, err := strconv.ParseInt(number, 10, 64)
	flag, rest, ok = strings.Cut(from, ":")
	return ms, flag, rest, ok && err == nil && ms > 0
}

// splitHeaders parts headers from the payload after them. The headers are a copy, so that they do not keep the payload alive.
func splitHeaders(rest string) (headers, payload string, ok bool) {
	length, rest, _ := strings.Cut(rest, ":")
	n, err := strconv.Atoi(length)
	if err != nil || n < 1 || n > len(rest) {
		return "", "", false
	}
	return strings.Clone(rest[:n]), rest[n:], true
}
