package dashboard_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/dashboard"
)

func TestNewRefusesOptionsThatCannotWork(t *testing.T) {
	s := embedded(t, triggerhook.Options{})
	for name, c := range map[string]struct {
		s    *triggerhook.Scheduler
		o    dashboard.Options
		want string
	}{
		"no scheduler":     {nil, dashboard.Options{}, "the Scheduler is nil"},
		"operate for all":  {s, dashboard.Options{Operate: true}, "Options.Authorize is nil"},
		"origin of a path": {s, dashboard.Options{TrustedOrigins: []string{"https://admin.example.com/path"}}, `"https://admin.example.com/path"`},
	} {
		h, err := dashboard.New(c.s, c.o)
		if h != nil || !errors.Is(err, triggerhook.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v, want an ErrInvalid with %q", name, h, err, c.want)
		}
	}
}

// references are the addresses in a page that it asks for with GET.
var references = regexp.MustCompile(`(?:href|src|<form[^>]*[^t]" action)="([^"]*)"`)

func TestEachLinkOfEachPageLeadsSomewhereUnderAnyPrefix(t *testing.T) {
	r := newRig(t, operating())
	r.work()
	for i := range 120 {
		r.far(fmt.Sprintf("customer/%03d & <more>?x=1#y", i))
	}
	r.create(&triggerhook.Task{ID: "fail/1", Due: time.Now()}, &triggerhook.Task{ID: "done/1", Due: time.Now()})
	r.dead(1)
	pages, err := dashboard.New(r.Scheduler, operating())
	must(t, err)
	for prefix, h := range map[string]http.Handler{"/": pages, "/a/b/": http.StripPrefix("/a/b", pages), "/not/stripped/": pages, "/tasks/": pages} {
		seen := map[string]bool{prefix: true}
		for todo := []string{prefix + "?q=a", prefix + "tasks?prefix=customer/", prefix + "dead?prefix=fail/"}; len(todo) > 0; todo = todo[1:] {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", todo[0], nil))
			if w.Code != 200 && w.Code != 303 {
				t.Fatalf("under %s, GET %s: status %d: %s", prefix, todo[0], w.Code, w.Body)
			}
			base, err := url.Parse(todo[0])
			must(t, err)
			found := []string{w.Header().Get("Location")}
			for _, m := range references.FindAllStringSubmatch(w.Body.String(), -1) {
				found = append(found, html.UnescapeString(m[1]))
			}
			for _, ref := range found {
				to, err := base.Parse(ref)
				must(t, err)
				to.Fragment = ""
				if !strings.HasPrefix(to.Path, prefix) || to.Host != "" {
					t.Fatalf("under %s, page %s refers to %s", prefix, todo[0], ref)
				}
				place := to.Path + to.Query().Get("id") + to.Query().Get("at")
				if !seen[place] && to.Path != prefix+"resume" {
					seen[place] = true
					todo = append(todo, to.String())
				}
			}
		}
		if len(seen) < 130 {
			t.Errorf("under %s only %d places were found: %v", prefix, len(seen), seen)
		}
	}
}

func TestEachAnswerHasAStrictPolicyAndIsNotKept(t *testing.T) {
	r := newRig(t, dashboard.Options{})
	for page, status := range map[string]int{"": 200, "tasks": 200, "dead": 200, "task?id=none": 404, "letter?id=none": 404, "nothing": 404, "delete?id=x": 403, "tasks?from=soon": 400, "app.js": 200} {
		a := r.get(page).want(t, status)
		policy := a.header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy lacks %q: %s", page, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: headers %v", page, a.header)
		}
		if kept := a.header.Get("Cache-Control"); page != "app.js" && kept != "no-store" {
			t.Errorf("%s: Cache-Control is %q", page, kept)
		}
		if regexp.MustCompile(`(?i)<script>|<style|style=|\son[a-z]+=|javascript:`).MatchString(a.body) && page != "app.js" {
			t.Errorf("%s has a script or style inside: %s", page, a.body)
		}
	}
}

func TestUnknownMethodsAndAssetsThatAreUnchanged(t *testing.T) {
	r := newRig(t, dashboard.Options{})
	r.send("PUT", "tasks", nil, nil).want(t, 405)
	r.send("POST", "tasks", nil, nil).want(t, 405)
	r.send("HEAD", "tasks", nil, nil).want(t, 200)
	tag := r.get("style.css").want(t, 200).header.Get("ETag")
	r.send("GET", "style.css", map[string]string{"If-None-Match": tag}, nil).want(t, 304)
}

// A marker that would be an element if a page did not escape it.
const marker = `<b class=marker>"'&</b>`

func TestIDsHeadersPayloadsAndErrorsAreEscaped(t *testing.T) {
	o := operating()
	o.Payloads = true
	r := newRig(t, o)
	r.work()
	r.create(&triggerhook.Task{ID: "fail/" + marker, Due: time.Now(), Payload: []byte(marker), Headers: map[string]string{marker: marker}})
	r.dead(1)
	r.create(&triggerhook.Task{ID: "fail/" + marker, Due: time.Now().Add(time.Hour), Payload: []byte(marker), Headers: map[string]string{marker: marker}})
	id := url.QueryEscape("fail/" + marker)
	for _, page := range []string{"tasks", "tasks?prefix=" + id, "tasks?header=" + url.QueryEscape(marker) + "&value=" + url.QueryEscape(marker), "tasks?from=" + url.QueryEscape(marker),
		"task?id=" + id, "dead", "dead?reason=" + url.QueryEscape(marker), "letter?id=" + id, "delete?id=" + id, "delete?prefix=" + id, "move?id=" + id, "requeue?prefix=" + id, url.PathEscape(marker)} {
		a := r.get(page)
		if strings.Contains(a.body, "<b class") || strings.Contains(a.body, "<i class") || a.status >= 500 {
			t.Errorf("%s: status %d, a marker is not escaped: %s", page, a.status, a.body)
		}
	}
	r.get("task?id="+id).want(t, 200, "&lt;b class=marker&gt;")
	r.get("letter?id="+id).want(t, 200, "out of &lt;i class=marker&gt;paper")
	r.get("requeue?prefix="+id).want(t, 200, "Requeue 1 dead letter?")
}

func TestPayloadsAreHiddenUnlessOptionsShowThem(t *testing.T) {
	hidden := newRig(t, dashboard.Options{})
	hidden.create(&triggerhook.Task{ID: "a", Due: time.Now().Add(time.Hour), Payload: []byte(`{"card":"secret"}`)})
	if a := hidden.get("task?id=a").want(t, 200, "17 bytes"); strings.Contains(a.body, "secret") {
		t.Errorf("the payload is shown: %s", a.body)
	}
	shown := serve(t, hidden.Scheduler, dashboard.Options{Payloads: true})
	shown.create(&triggerhook.Task{ID: "b", Due: time.Now().Add(time.Hour), Payload: []byte{0, 1, 0xff}},
		&triggerhook.Task{ID: "c", Due: time.Now().Add(time.Hour), Payload: []byte(strings.Repeat("long ", 8000))})
	shown.get("task?id=a").want(t, 200, "&#34;card&#34;: &#34;secret&#34;")
	shown.get("task?id=b").want(t, 200, "00 01 ff")
	if a := shown.get("task?id=c").want(t, 200, "of which this is the beginning"); len(a.body) > 25_000 {
		t.Errorf("the page of a long payload has %d bytes", len(a.body))
	}
}

var rowIDs = regexp.MustCompile(`(?:task|letter)\?id=[^"]*"><code>([^<]*)</code>`)
var nextPage = regexp.MustCompile(`<a class="button" href="([^"]*)">Next page`)

// all reads all pages of a list, and returns the IDs.
func (r *rig) all(page string) (ids []string) {
	r.t.Helper()
	for range 100 {
		a := r.get(page).want(r.t, 200)
		for _, m := range rowIDs.FindAllStringSubmatch(a.body, -1) {
			ids = append(ids, m[1])
		}
		next := nextPage.FindStringSubmatch(a.body)
		if next == nil {
			return ids
		}
		page = html.UnescapeString(next[1])
	}
	r.t.Fatal("the list does not end")
	return nil
}

func TestPagesShowEachTaskOnce(t *testing.T) {
	r := newRig(t, dashboard.Options{})
	hour := time.Now().Add(time.Hour).Truncate(time.Second)
	var want []string
	var tasks []*triggerhook.Task
	for i := range 260 { // three quarters of them are due at one time, so that pages end in the middle of it
		at := hour
		if i%4 == 0 {
			at = hour.Add(time.Duration(i-130) * time.Second)
		}
		id := fmt.Sprintf("task/%03d", (i*37)%260)
		want = append(want, id)
		tasks = append(tasks, &triggerhook.Task{ID: id, Due: at, Headers: map[string]string{"odd": fmt.Sprint(i % 2)}})
	}
	r.create(tasks...)
	slices.Sort(want)
	for _, page := range []string{"tasks", "tasks?prefix=task/", "tasks?from=1m&before=24h"} {
		got := r.all(page)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: got %d tasks %v, want each of %d once", page, len(got), got, len(want))
		}
	}
	if got := r.all("tasks?header=odd&value=1"); len(got) != 130 {
		t.Errorf("by a header: got %d tasks, want 130", len(got))
	}
	if got := r.all("tasks?prefix=task/25"); len(got) != 10 {
		t.Errorf("by a longer prefix: got %v, want 10", got)
	}
}

func TestPagesShowEachTaskOnceWhileWorkersHaveSome(t *testing.T) {
	r := serve(t, embedded(t, triggerhook.Options{Drain: time.Millisecond}), dashboard.Options{})
	var want []string
	var tasks []*triggerhook.Task
	due := time.Now()
	for i := range 130 {
		id := fmt.Sprintf("slow/%03d", i)
		want = append(want, id)
		tasks = append(tasks, &triggerhook.Task{ID: id, Due: due})
	}
	r.create(tasks...)
	r.work()
	r.until("some are claimed", func() bool {
		i, err := r.Get(t.Context(), "slow/003")
		must(t, err)
		return i.State == triggerhook.InFlight
	})
	if got := r.all("tasks"); !slices.Equal(got, want) {
		t.Errorf("got %d tasks %v, want each of %d once", len(got), got, len(want))
	}
}

func TestPagesShowEachDeadLetterOnce(t *testing.T) {
	r := newRig(t, dashboard.Options{})
	r.work()
	var tasks []*triggerhook.Task
	var want []string
	for i := range 120 {
		want = append(want, fmt.Sprintf("fail/%03d", i))
		tasks = append(tasks, &triggerhook.Task{ID: want[i], Due: time.Now()})
	}
	r.create(tasks...)
	r.dead(120)
	for _, page := range []string{"dead", "dead?prefix=fail/", "dead?reason=attempts&from=-1h"} {
		got := r.all(page)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: got %d dead letters %v, want each of %d once", page, len(got), got, len(want))
		}
	}
	if got := r.all("dead?reason=expired"); len(got) != 0 {
		t.Errorf("expired: %v, want none", got)
	}
}

func TestTheSearchLeadsToTheTaskOrToThoseThatBeginSo(t *testing.T) {
	r := newRig(t, dashboard.Options{})
	r.far("a b", "a b/2")
	for q, want := range map[string]string{"a+b": "task?id=a+b", "a": "tasks?prefix=a", "": "tasks", "none": "tasks?prefix=none"} {
		if got := r.get("find?q="+q).want(t, 303).header.Get("Location"); got != want {
			t.Errorf("find %q: leads to %q, want %q", q, got, want)
		}
	}
	r.get("find?q="+strings.Repeat("x", 200)).want(t, 400, "128")
}

func TestATaskShowsItsHistory(t *testing.T) {
	r := newRig(t, dashboard.Options{})
	r.work()
	r.create(&triggerhook.Task{ID: "done/1", Due: time.Now()})
	r.until("it is done", func() bool { return !r.lives("done/1") })
	r.get("task?id=done/1").want(t, 200, "No unfinished task has this ID", "confirmed", "worker-1")
}

func TestBadInputIsNamed(t *testing.T) {
	r := newRig(t, operating())
	for page, want := range map[string]string{"tasks?from=soon": "soon", "tasks?from=2h&before=1h": "is not before", "tasks?value=x": "needs the name", "tasks?after=x": "is not a cursor",
		"dead?after=x": "is not a cursor", "task?id=": "", "dead?before=never": "never", "delete": "no filter", "move?prefix=%00": "NUL", "purge?from=x": "no time"} {
		r.get(page).want(t, 400, want)
	}
}

func TestAStreamEndsWhenItsServerShutsDown(t *testing.T) {
	r := newRig(t, dashboard.Options{})
	res, err := r.Client().Get(r.URL + "/ops/live")
	must(t, err)
	defer res.Body.Close()
	first := make([]byte, 6)
	_, err = res.Body.Read(first)
	must(t, err)
	if string(first) != "event:" {
		t.Fatalf("the stream begins with %q", first)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.Config.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown waits for the stream: %v", err)
	}
}
