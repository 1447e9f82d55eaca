package dashboard

import (
	"cmp"
	"net/url"
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
	f.IDPrefix, f.After = v.Get("prefix"), v.Get("after")
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
	f.IDPrefix, f.Reason, f.After = v.Get("prefix"), v.Get("reason"), v.Get("after")
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
