package dashboard

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/triggerhook/triggerhook"
)

// values are parts of an address or of a form, which name what a page shows.
type values struct{ url.Values }

// get is a value without white space around it. IDs and prefixes are never trimmed: they are read by Get.
func (v values) get(key string) string { return strings.TrimSpace(v.Get(key)) }

// only returns those of v that have one of the keys, and are not empty.
func (v values) only(keys ...string) values {
	out := url.Values{}
	for _, k := range keys {
		if text := v.Get(k); text != "" {
			out.Set(k, text)
		}
	}
	return values{out}
}

// with returns v with one value more.
func (v values) with(key, value string) values {
	out := v.only(keysOf(v)...)
	out.Set(key, value)
	return out
}

func keysOf(v values) (keys []string) {
	for k := range v.Values {
		keys = append(keys, k)
	}
	return keys
}

// taskKeys and deadKeys are the values of a filter.
var (
	taskKeys = []string{"prefix", "from", "before", "header", "value"}
	deadKeys = []string{"prefix", "reason", "from", "before"}
)

// taskFilter reads a filter of tasks.
func (v values) taskFilter(now time.Time) (f triggerhook.Filter, err error) {
	f.IDPrefix = v.Get("prefix")
	if f.DueFrom, f.DueBefore, err = v.span(now); err != nil {
		return f, err
	}
	if key := v.Get("header"); key != "" {
		f.Headers = map[string]string{key: v.Get("value")}
	} else if v.Get("value") != "" {
		return f, invalid("the value %q of a header needs the name of the header", v.Get("value"))
	}
	return f, nil
}

// deadFilter reads a filter of dead letters.
func (v values) deadFilter(now time.Time) (f triggerhook.DeadFilter, err error) {
	f.IDPrefix, f.Reason = v.Get("prefix"), v.Get("reason")
	f.DeadFrom, f.DeadBefore, err = v.span(now)
	return f, err
}

// span reads the bounds of a time.
func (v values) span(now time.Time) (from, before time.Time, err error) {
	from, err = parseWhen("From", v.get("from"), now)
	before, wrong := parseWhen("Before", v.get("before"), now)
	return from, before, cmp.Or(err, wrong)
}

// fixed returns v with its times as they are now, so that what is confirmed is what is done, also if a time was named as one from now on.
func (v values) fixed(now time.Time) (values, error) {
	from, before, err := v.span(now)
	if err != nil {
		return v, err
	}
	out := v
	for key, at := range map[string]time.Time{"from": from, "before": before} {
		if !at.IsZero() {
			out = out.with(key, iso(at))
		}
	}
	return out, nil
}

// cursor is where a page begins: after the task At, ID, in the order of the list, and Skip more. A list has no cursor of its own, so
// a page is read from the time At on. What lies before its beginning is read again and left out.
type cursor struct {
	at   time.Time
	id   string
	skip int
}

// mostSkip is how many tasks are read again and left out at most.
const mostSkip = 10_000

// cursor reads the values after, at and skip.
func (v values) cursor() (c cursor, err error) {
	c.id = v.Get("after")
	if text := v.Get("at"); text != "" {
		if c.at, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return c, invalid("at: %q is no time in RFC 3339", text)
		}
	}
	if text := v.Get("skip"); text != "" {
		if c.skip, err = strconv.Atoi(text); err != nil || c.skip < 0 || c.skip > mostSkip {
			return c, invalid("skip: %q is no number from 0 to %d: narrow the list instead of going on", text, mostSkip)
		}
	}
	return c, nil
}

// put adds c to an address.
func (c cursor) put(v values) values {
	if !c.at.IsZero() {
		v = v.with("at", iso(c.at)).with("after", c.id)
	}
	if c.skip > 0 {
		v = v.with("skip", strconv.Itoa(c.skip))
	}
	return v
}

// entry is what paging knows of an element of a list: its ID, and its place in the order of the list, if that is known.
type entry struct {
	id    string
	at    time.Time // zero: not known
	least time.Time // it is not before this
}

// before reports whether e lies before the beginning of the page that c leads to. The list is read from c.at on, so that only what lies
// at that time can. An entry whose place is not known is taken to lie at its least time: at worst a page shows it again.
func (c cursor) before(e entry) bool {
	if c.at.IsZero() {
		return false
	}
	return cmp.Or(e.at, e.least).Equal(c.at) && e.id <= c.id
}

// next is the cursor of the page after one that began at c and has shown entries.
func (c cursor) next(shown []entry) cursor {
	for i := len(shown) - 1; i >= 0; i-- {
		if at := shown[i].at; !at.IsZero() {
			return cursor{at: at, id: shown[i].id, skip: len(shown) - 1 - i}
		}
	}
	c.skip += len(shown)
	return c
}

// entryOf is the place of a task. Its row has the time at which it is next offered, as the list is ordered, and that is known if the hot
// set has no other, or has none at all. It is not before Due.
func entryOf(i triggerhook.Info) entry {
	e := entry{id: i.ID, least: i.Due}
	if i.State == triggerhook.Scheduled || i.State == triggerhook.Unknown || i.Next.Equal(i.Due) {
		e.at = i.Next
	}
	return e
}
