package dashboard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/dashboard/internal/browser"
)

// shown is a dashboard in a Chromium. The test fails if a page writes to the console, fails, or asks another host.
type shown struct {
	*rig
	b *browser.Browser
}

func show(t *testing.T) *shown {
	t.Helper()
	o := operating()
	o.Payloads = true
	r := newRig(t, o)
	s := &shown{r, browser.Start(t, r.URL)}
	t.Cleanup(func() {
		for _, problem := range s.b.Problems() {
			t.Errorf("a page makes a problem: %s", problem)
		}
	})
	return s
}

// open shows a page.
func (s *shown) open(page string) {
	s.t.Helper()
	s.b.Do(s.t, chromedp.Navigate(s.URL+"/ops/"+page))
}

// text waits until the page shows a text.
func (s *shown) text(text string) {
	s.t.Helper()
	s.b.Wait(s.t, fmt.Sprintf("document.readyState === 'complete' && document.body.innerText.includes(%q)", text))
}

// click clicks the first element that has that text, and stays on the page.
func (s *shown) click(selector, text string) {
	s.t.Helper()
	s.b.Wait(s.t, pressed(selector, text, ""))
}

// follow clicks the first element that has that text, and waits for the page that it leads to.
func (s *shown) follow(selector, text string) {
	s.t.Helper()
	s.b.Wait(s.t, pressed(selector, text, "window.left = true, "))
	s.b.Wait(s.t, `!window.left && document.readyState === "complete"`)
}

// pressed is an expression that becomes true when the element is there, and has been clicked: in one step, because a page may be on its way.
func pressed(selector, text, before string) string {
	return fmt.Sprintf("(e => e && (%se.click(), true))([...document.querySelectorAll(%q)].find(e => e.textContent.trim() === %q))", before, selector, text)
}

// fill puts a value into a field.
func (s *shown) fill(id, value string) {
	s.t.Helper()
	s.b.Wait(s.t, fmt.Sprintf("document.getElementById(%q)", id))
	s.b.Do(s.t, chromedp.SendKeys(chromedp.CSS("#"+id), value))
}

// keys presses keys, one after another.
func (s *shown) keys(keys ...string) {
	s.t.Helper()
	for _, k := range keys {
		s.b.Do(s.t, chromedp.KeyEvent(k))
	}
}

func TestEachPageIsAccessibleInLightAndDarkAndOnAPhone(t *testing.T) {
	s := show(t)
	s.work()
	s.create(&triggerhook.Task{ID: "done/1", Due: time.Now()}, &triggerhook.Task{ID: "fail/" + marker, Due: time.Now(), Payload: []byte(marker), Headers: map[string]string{"tenant": marker}})
	s.dead(1)
	s.far("a", "b", "c")
	s.create(&triggerhook.Task{ID: "full", Due: time.Now().Add(10 * time.Minute), Expires: time.Now().Add(time.Hour), Payload: []byte(`{"a":1}`), Headers: map[string]string{"tenant": "north"}})
	pages := []string{"", "tasks", "tasks?prefix=a", "tasks?prefix=none", "tasks?from=soon", "task?id=full", "task?id=done/1", "task?id=none", "dead", "dead?reason=none",
		"letter?id=fail/" + strings.ReplaceAll(marker, "&", "%26"), "delete?id=a", "delete?prefix=b", "move?prefix=c", "requeue", "purge", "pause", "nothing"}
	for _, look := range []struct {
		width, height int64
		scheme        string
		rules         []string // those that another look can break; nil: all
	}{{1280, 900, "light", nil}, {390, 844, "dark", []string{"color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block"}}} {
		must(t, s.b.Look(look.width, look.height, look.scheme))
		for _, page := range pages {
			s.open(page)
			if page == "" {
				s.b.Wait(t, `document.querySelector(".live.on")`)
			}
			for _, violation := range s.b.Violations(t, look.rules...) {
				t.Errorf("%s, %d wide, %s: %s", page, look.width, look.scheme, violation)
			}
			if wide := browser.Get[int](t, s.b, "document.documentElement.scrollWidth"); int64(wide) > look.width {
				t.Errorf("%s is %d wide on a screen of %d", page, wide, look.width)
			}
			if browser.Get[int](t, s.b, `document.querySelectorAll(".marker").length`) > 0 {
				t.Errorf("%s has an element that came with a task", page)
			}
		}
	}
	for _, p := range s.b.Problems() { // Chromium itself reports an answer that has the status of an error
		if !strings.Contains(p, "Failed to load resource: the server responded with a status of 40") {
			t.Errorf("a page makes a problem: %s", p)
		}
	}
}

// count is what the overview shows of a stage.
func count(key string) string {
	return fmt.Sprintf("document.querySelector('[data-key=%s] .count').textContent", key)
}

func TestTheOverviewIsLive(t *testing.T) {
	s := show(t)
	s.work()
	s.open("")
	s.b.Wait(t, `document.querySelector(".live.on")`)
	s.b.Wait(t, count("stored")+` === "0"`)
	s.b.Do(t, chromedp.Evaluate[chromedp.Void](`document.querySelector("#day-title").parentElement.querySelector("details").open = true; window.kept = document.querySelector("[data-key=done]")`))
	s.far("a", "b")
	s.create(&triggerhook.Task{ID: "done/1", Due: time.Now()}, &triggerhook.Task{ID: "fail/1", Due: time.Now()})
	s.b.Wait(t, count("stored")+` === "2"`)
	s.b.Wait(t, count("done")+` === "1"`)
	s.b.Wait(t, count("dead")+` === "1"`)
	s.b.Wait(t, `document.querySelector("#lateness .figures dd").textContent.endsWith("s")`)
	s.b.Wait(t, `document.querySelectorAll("#load .chart")[1].querySelectorAll("rect[height='100']").length === 2`)
	if !browser.Get[bool](t, s.b, `document.querySelector("#day-title").parentElement.querySelector("details").open && window.kept.isConnected`) {
		t.Error("an update closes what the user has opened, or puts new elements in the place of equal ones")
	}
	s.b.Wait(t, `document.querySelector("#partitions [data-key=p0]").textContent.includes("ahead")`)
	s.b.Wait(t, `/feeder, reaper, auditor.*/s.test(document.querySelector("#workers tbody tr").textContent) && document.querySelector("#partitions strong").textContent === "worker-1"`)
	must(t, s.Pause(t.Context(), triggerhook.PauseOptions{}))
	s.text("Paused since")
	s.click("button", "Hold the figures")
	s.text("Held")
	must(t, s.Resume(t.Context()))
	s.far("c")
	s.click("button", "Hold the figures")
	s.b.Wait(t, count("stored")+` === "3"`)
	s.b.Wait(t, `!document.body.innerText.includes("Paused since")`)
}

func TestEveryActionIsDoneInTheBrowser(t *testing.T) {
	s := show(t)
	s.work()
	s.far("order/1", "order/2", "order/3")
	s.create(&triggerhook.Task{ID: "fail/1", Due: time.Now()}, &triggerhook.Task{ID: "fail/2", Due: time.Now()})
	s.dead(2)
	s.open("tasks")
	s.follow("a", "order/1")
	s.follow("a", "Reschedule…")
	s.fill("to", "2031-05-01 12:00")
	s.follow("button", "Reschedule the task order/1")
	s.text("2031-05-01 12:00:00")
	s.follow("a", "Delete…")
	s.follow("button", "Delete the task order/1")
	s.text("No unfinished task has this ID.")
	s.open("tasks")
	s.fill("prefix", "order/")
	s.follow("button", "Show")
	s.follow("a", "Reschedule…")
	s.fill("by", "48h")
	s.follow("button", "Reschedule 2 tasks")
	s.text("Rescheduled: 2.")
	s.follow("a", "Delete…")
	s.text("Delete 2 tasks?")
	s.follow("button", "Delete 2 tasks")
	s.text("Deleted: 2.")
	s.open("dead")
	s.follow("a", "fail/1")
	s.follow("a", "Requeue…")
	s.fill("to", "5h")
	s.follow("button", "Requeue the dead letter fail/1")
	s.text("Requeued: 1.")
	s.open("dead")
	s.follow("a", "Requeue…")
	s.fill("to", "5h")
	s.fill("rate", "1")
	s.follow("button", "Requeue 1 dead letter")
	s.text("Requeued: 1.")
	s.create(&triggerhook.Task{ID: "fail/3", Due: time.Now()})
	s.dead(1)
	s.open("dead")
	s.follow("a", "Purge…")
	s.follow("button", "Purge 1 dead letter")
	s.text("Purged: 1.")
	s.follow("a", "Pause")
	s.fill("until", "1h")
	s.follow("button", "Pause the namespace")
	s.text("The namespace is paused.")
	s.follow("button", "Resume")
	s.text("Tasks are delivered again.")
	s.dead(0)
	if s.lives("order/1") || s.lives("order/2") || !s.lives("fail/1") || !s.lives("fail/2") {
		t.Error("the tasks are not as the pages say")
	}
}

func TestAUserFindsAndDeletesATaskByKeysAlone(t *testing.T) {
	s := show(t)
	s.far("order/1")
	s.open("")
	s.keys(kb.Tab)
	if got := browser.Get[string](t, s.b, "document.activeElement.textContent"); got != "Skip to the content" {
		t.Fatalf("the first Tab leads to %q", got)
	}
	for browser.Get[string](t, s.b, "document.activeElement.id") != "q" {
		s.keys(kb.Tab)
	}
	s.keys("o", "r", "d", "e", "r", "/", "1", kb.Enter)
	s.b.Wait(t, `location.pathname === "/ops/task" && document.readyState === "complete"`)
	for browser.Get[string](t, s.b, "document.activeElement.textContent") != "Delete…" {
		s.keys(kb.Tab)
	}
	if outline := browser.Get[string](t, s.b, "getComputedStyle(document.activeElement).outlineStyle"); outline != "solid" {
		t.Errorf("the focus is not seen: outline %q", outline)
	}
	s.keys(kb.Enter)
	s.b.Wait(t, `location.pathname === "/ops/delete" && document.readyState === "complete"`)
	for browser.Get[string](t, s.b, "document.activeElement.textContent") != "Delete the task order/1" {
		s.keys(kb.Tab)
	}
	s.keys(kb.Enter)
	s.text("No unfinished task has this ID.")
	if s.lives("order/1") {
		t.Error("the task lives")
	}
}

func TestNothingMovesForThoseWhoWantThat(t *testing.T) {
	s := show(t)
	must(t, s.b.Still())
	s.open("")
	if got := browser.Get[string](t, s.b, `(() => { const e = document.querySelector(".stage"); e.className = "stage moving onward"; return getComputedStyle(e.querySelector(".dot"), "::before").animationName })()`); got != "none" {
		t.Errorf("with reduced motion the rail has the animation %q", got)
	}
}
