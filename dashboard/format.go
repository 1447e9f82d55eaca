package dashboard

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/triggerhook/triggerhook"
)

// formats are the functions of the templates.
var formats = template.FuncMap{"num": num[int], "about": about, "rate": rate, "late": late, "when": when, "iso": iso, "clock": func(t time.Time) string { return t.UTC().Format("15:04:05") }, "rel": func(t time.Time) string { return relative(time.Until(t)) },
	"span": span}

// num is a number with a comma between thousands.
func num[T int | int64 | uint64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// about is a number, with a mark if it is an estimate.
func about(n int64, estimated bool) string {
	if estimated {
		return "≈ " + num(n)
	}
	return num(n)
}

// rate is how many a second.
func rate(perSecond float64) string {
	switch {
	case perSecond <= 0:
		return "0/s"
	case perSecond < 0.1:
		return "< 0.1/s"
	case perSecond < 10:
		return strconv.FormatFloat(perSecond, 'f', 1, 64) + "/s"
	}
	return num(int64(math.Round(perSecond))) + "/s"
}

// late is a lateness, with three digits at most.
func late(d time.Duration) string {
	digits := func(v float64, unit string) string {
		prec := 0
		if v < 10 {
			prec = 2
		} else if v < 100 {
			prec = 1
		}
		return strconv.FormatFloat(v, 'f', prec, 64) + " " + unit
	}
	switch s := d.Seconds(); {
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + " µs"
	case s < 1:
		return digits(s*1000, "ms")
	case s < 600:
		return digits(s, "s")
	}
	return span(d)
}

// when is a time for people, in UTC, without its milliseconds.
func when(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// iso is a time for machines, with its milliseconds.
func iso(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// relative is a time as seen from now on.
func relative(d time.Duration) string {
	switch {
	case d > -time.Second && d < time.Second:
		return "now"
	case d < 0:
		return span(-d) + " ago"
	}
	return "in " + span(d)
}

// span is a duration, in its largest unit, and in the next one if that matters.
func span(d time.Duration) string {
	s := int64(d.Round(time.Second).Seconds())
	two := func(n, unit int64, big, small string) string {
		if n >= 10*unit || n%unit == 0 {
			return num(n/unit) + " " + big
		}
		return num(n/unit) + " " + big + " " + num(n%unit) + " " + small
	}
	switch {
	case s < 60:
		return num(s) + " s"
	case s < 3600:
		return two(s, 60, "min", "s")
	case s < 86400:
		return two(s/60, 60, "h", "min")
	}
	return two(s/3600, 24, "d", "h")
}

const (
	// mostShown is how many bytes of a payload a page shows.
	mostShown = 16 << 10
	// mostHex is the same of a payload that is no text.
	mostHex = 1 << 10
)

// payload is what a page shows of a payload.
type payload struct {
	Size   int
	Hidden bool   // Options.Payloads is not set
	Text   string // a text as it is, JSON with line breaks, or a dump of bytes
	Cut    bool   // Text is not all of it
}

func (d *dashboard) payload(b []byte) payload {
	p := payload{Size: len(b), Hidden: !d.o.Payloads}
	if p.Hidden {
		return p
	}
	var indented bytes.Buffer
	switch {
	case !isText(b):
		p.Cut = len(b) > mostHex
		p.Text = hex.Dump(b[:min(len(b), mostHex)])
		return p
	case json.Indent(&indented, b, "", "  ") == nil:
		p.Text = indented.String()
	default:
		p.Text = string(b)
	}
	if p.Cut = len(p.Text) > mostShown; p.Cut {
		p.Text = strings.ToValidUTF8(p.Text[:mostShown], "")
	}
	return p
}

// isText reports whether people can read b.
func isText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f })
}

// parseWhen reads a time as people write it: in RFC 3339, without a zone (UTC), "now", or a duration from now on. Nothing is the zero time.
func parseWhen(field, text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return time.Time{}, nil
	}
	if text == "now" {
		return now, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999", "2006-01-02 15:04", "2006-01-02T15:04:05.999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, invalid("%s: %q is no time: want 2026-12-24 18:00 (UTC), RFC 3339, now, or a duration from now on (90s, 24h, -15m)", field, text)
}

// invalid is an error that names a value and its rule.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", triggerhook.ErrInvalid, fmt.Sprintf(format, args...))
}
