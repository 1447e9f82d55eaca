package hotset

import (
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
const entryFormat = "3"

// entryLen is about how long next_ms and an encoded entry are without headers and payload.
const entryLen = 45

// encodeEntry returns what Redis keeps for a member. It has one of two forms, and the first byte tells which.
//
//   - A digit: next_ms:due_ms:attempt:flag:rest. The text of due_ms is empty if it is next_ms, that of attempt if it is 0. With the flag "i" the
//     rest is the payload. With "h" it is the length of the headers, a colon, the headers and the payload. With "x" headers and
//     payload are in the durable store alone, and there is no rest. The flag "e" comes before one of the others, with a colon,
//     expires_ms and a colon in between: the task expires then. "c" does likewise, after "e", with created_ms.
//   - A letter: 8 digits of base 36, which are next_ms, and then the payload. It is short for next_ms:::i:payload, which most entries are,
//     and it is always used where it can be: from 1994 to 2059 a time in base 36 has 8 digits, and the first is a letter.
func encodeEntry(e task.Entry) string {
	var text strings.Builder
	writeEntry(&text, e)
	return text.String()
}

const (
	shortFrom = 10 * 36 * 36 * 36 * 36 * 36 * 36 * 36 // the first time, unix milliseconds, that begins with a letter
	shortTo   = 36 * shortFrom / 10                   // the first time that has more than shortLen digits
	shortLen  = 8
)

// short tells whether e is encoded in the form that begins with a letter.
func short(e task.Entry) bool {
	return e.NextMS >= shortFrom && e.NextMS < shortTo && e.DueMS == e.NextMS && e.Attempt == 0 && !e.External &&
		e.Headers == "" && e.ExpiresMS == 0 && e.CreatedMS == 0
}

func writeEntry(to *strings.Builder, e task.Entry) {
	if short(e) {
		writeInt(to, e.NextMS, 36)
		to.Write(e.Payload)
		return
	}
	writeInt(to, e.NextMS, 10)
	to.WriteByte(':')
	if e.DueMS != e.NextMS {
		writeInt(to, e.DueMS, 10)
	}
	to.WriteByte(':')
	if e.Attempt != 0 {
		writeInt(to, int64(e.Attempt), 10)
	}
	to.WriteByte(':')
	writeRest(to, e)
}

func writeInt(to *strings.Builder, n int64, base int) {
	var number [20]byte
	to.Write(strconv.AppendInt(number[:0], n, base))
}

// writeRest writes the flag and what comes after it.
func writeRest(to *strings.Builder, e task.Entry) {
	if e.External {
		to.WriteString("x:")
		return
	}
	if e.ExpiresMS != 0 {
		to.WriteString("e:")
		writeInt(to, e.ExpiresMS, 10)
		to.WriteByte(':')
	}
	if e.CreatedMS != 0 {
		to.WriteString("c:")
		writeInt(to, e.CreatedMS, 10)
		to.WriteByte(':')
	}
	switch {
	case e.Headers != "":
		to.WriteString("h:")
		writeInt(to, int64(len(e.Headers)), 10)
		to.WriteByte(':')
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
	if entry != "" && entry[0] >= 'a' && entry[0] <= 'z' {
		if e.NextMS, err = strconv.ParseInt(entry[:min(shortLen, len(entry))], 36, 64); err != nil || e.NextMS < shortFrom {
			return e, "", fmt.Errorf("entry of %q has a strange time: %.8q", ref.ID, entry)
		}
		e.DueMS = e.NextMS
		return e, entry[shortLen:], nil
	}
	rest, err := splitNumbers(&e, entry)
	if err != nil {
		return e, "", fmt.Errorf("entry of %q has a strange number: %w", ref.ID, err)
	}
	flag, rest, ok := strings.Cut(rest, ":")
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

// splitNumbers reads next_ms, due_ms and attempt into e, and returns what comes after them.
func splitNumbers(e *task.Entry, entry string) (rest string, err error) {
	next, rest, _ := strings.Cut(entry, ":")
	due, rest, _ := strings.Cut(rest, ":")
	attempt, rest, _ := strings.Cut(rest, ":")
	if e.NextMS, err = strconv.ParseInt(next, 10, 64); err != nil {
		return "", err
	}
	if e.DueMS = e.NextMS; due != "" {
		if e.DueMS, err = strconv.ParseInt(due, 10, 64); err != nil {
			return "", err
		}
	}
	if attempt != "" {
		e.Attempt, err = strconv.Atoi(attempt)
	}
	return rest, err
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
