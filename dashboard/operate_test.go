package dashboard_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/dashboard"
)

// operations are requests that would change something, if they were allowed.
var operations = map[string][]string{"delete": {"id", "a", "count", "1"}, "move": {"id", "a", "count", "1", "to", "3h"}, "requeue": {"count", "9"}, "purge": {"count", "9"}, "pause": nil, "resume": nil}

func TestADashboardThatOnlyShowsRefusesOperations(t *testing.T) {
	r := newRig(t, dashboard.Options{})
	r.far("a")
	for act, form := range operations {
		r.post(act, form...).want(t, 403, "only shows")
		if act != "resume" {
			r.get(act+"?id=a").want(t, 403)
		}
	}
	if a := r.get("task?id=a"); strings.Contains(a.body, "delete?") || strings.Contains(a.body, ">Pause<") {
		t.Error("it shows buttons that are refused")
	}
	if !r.lives("a") {
		t.Error("the task was deleted")
	}
}

func TestAnOperationNeedsThePermissionOfItsRequest(t *testing.T) {
	o := dashboard.Options{Operate: true, Authorize: func(r *http.Request) error {
		if r.Header.Get("X-User") != "operator" {
			return errors.New("only operators may do that")
		}
		return nil
	}}
	r := newRig(t, o)
	r.far("a")
	for act, form := range operations {
		r.post(act, form...).want(t, 403, "only operators may do that")
	}
	r.get("delete?id=a").want(t, 403)
	if a := r.get("task?id=a").want(t, 200); strings.Contains(a.body, "delete?") {
		t.Error("the page of another user shows buttons")
	}
	operator := map[string]string{"X-User": "operator", "Sec-Fetch-Site": "same-origin"}
	r.send("GET", "task?id=a", operator, nil).want(t, 200, "delete?id=a")
	r.send("POST", "delete", operator, operations["delete"]).want(t, 303)
	if r.lives("a") {
		t.Error("the operator has deleted nothing")
	}
}

func TestARequestFromAnotherSiteChangesNothing(t *testing.T) {
	o := operating()
	o.TrustedOrigins = []string{"https://admin.example.com"}
	r := newRig(t, o)
	r.far("a", "b", "c")
	for _, headers := range []map[string]string{{}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://other.example.com"}, {"Origin": "null"},
		{"Sec-Fetch-Site": "cross-site", "Origin": "https://other.example.com"}} {
		for act, form := range operations {
			if a := r.send("POST", act, headers, form); a.status != 403 {
				t.Errorf("%s with %v: status %d, want 403", act, headers, a.status)
			}
		}
	}
	if stats, err := r.Stats(t.Context()); err != nil || !r.lives("a") || stats.Namespace.Pause.Paused() {
		t.Fatalf("a refused request has changed something: %v", err)
	}
	for id, headers := range map[string]map[string]string{"a": {"Sec-Fetch-Site": "same-origin"}, "b": {"Origin": r.URL}, "c": {"Sec-Fetch-Site": "cross-site", "Origin": "https://admin.example.com"}} {
		r.send("POST", "delete", headers, []string{"id", id, "count", "1"}).want(t, 303)
		if r.lives(id) {
			t.Errorf("with %v task %s was not deleted", headers, id)
		}
	}
	if a := r.get("delete?id=a&count=1"); a.status != 404 {
		t.Errorf("GET of an operation: status %d", a.status)
	}
}

// confirmed gets the page of an operation, and sends its form with more fields.
func (r *rig) confirmed(page, want string, more ...string) answer {
	r.t.Helper()
	a := r.get(page).want(r.t, 200, want)
	act, _, _ := strings.Cut(page, "?")
	form := more
	for _, m := range regexp.MustCompile(`type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
		form = append(form, m[1], m[2])
	}
	return r.post(act, form...)
}

func TestDeletionByAFilterNamesTheCountAndDoesNoMore(t *testing.T) {
	r := newRig(t, operating())
	r.far("customer-1/a", "customer-1/b", "customer-2/a")
	a := r.confirmed("delete?prefix=customer-1/", "Delete 2 tasks?").want(t, 303)
	if to := a.header.Get("Location"); to != "tasks?prefix=customer-1%2F&done=deleted&n=2" {
		t.Errorf("it leads to %q", to)
	}
	r.get(a.header.Get("Location")).want(t, 200, "Deleted: 2.")
	if r.lives("customer-1/a") || r.lives("customer-1/b") || !r.lives("customer-2/a") {
		t.Error("it deleted others than those that match")
	}
	r.far("customer-2/b", "customer-2/c")
	r.post("delete", "prefix", "customer-2/", "count", "1").want(t, 409, "By now 3 match, and you have confirmed 1", "Delete 3 tasks?")
	if !r.lives("customer-2/a") {
		t.Error("it deleted more than was confirmed")
	}
	r.post("delete", "prefix", "customer-2/").want(t, 400, "count")
	r.post("delete", "count", "9").want(t, 400, "no filter")
	r.post("delete", "id", "none", "count", "1").want(t, 404)
	r.get("delete?prefix=none").want(t, 200, "Nothing matches")
}

func TestTimesFromNowOnAreThoseOfTheConfirmation(t *testing.T) {
	r := newRig(t, operating())
	r.far("a")
	a := r.get("delete?before=90m").want(t, 200, "Delete 1 task?")
	at := regexp.MustCompile(`name="before" value="([^"]*)"`).FindStringSubmatch(a.body)
	if at == nil {
		t.Fatalf("the form lacks the time: %s", a.body)
	}
	if before, err := time.Parse(time.RFC3339Nano, at[1]); err != nil || time.Until(before) > 90*time.Minute {
		t.Errorf("the form has the time %q", at[1])
	}
}

func TestTasksAreRescheduledToATimeOrByAShift(t *testing.T) {
	r := newRig(t, operating())
	at := time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)
	r.create(&triggerhook.Task{ID: "c/1", Due: at}, &triggerhook.Task{ID: "c/2", Due: at.Add(time.Hour)})
	r.confirmed("move?id=c/1", "Reschedule the task c/1?", "to", "2031-05-02 12:00").want(t, 303)
	r.confirmed("move?prefix=c/", "Reschedule 2 tasks?", "by", "-1h").want(t, 303)
	for id, want := range map[string]time.Time{"c/1": at.Add(23 * time.Hour), "c/2": at} {
		if i, err := r.Get(t.Context(), id); err != nil || !i.Due.Equal(want) {
			t.Errorf("%s is due %v, want %v (%v)", id, i.Due, want, err)
		}
	}
	r.confirmed("move?prefix=c/", "", "by", "1h", "to", "now").want(t, 400, "exactly one of")
	r.confirmed("move?prefix=c/", "").want(t, 400, "exactly one of")
	r.confirmed("move?id=c/1", "", "to", "soon").want(t, 400, "soon", `value="soon"`)
	r.post("move", "id", "c/1", "count", "1", "by", "1h").want(t, 400)
}

func TestDeadLettersAreRequeuedAndPurged(t *testing.T) {
	r := newRig(t, operating())
	r.work()
	for i := range 5 {
		r.create(&triggerhook.Task{ID: fmt.Sprintf("fail/%d", i), Due: time.Now()})
	}
	r.dead(5)
	r.confirmed("requeue?id=fail/0", "Requeue the dead letter fail/0?", "to", "2h").want(t, 303)
	r.confirmed("requeue?prefix=fail/1", "Requeue 1 dead letter?", "to", "2h", "rate", "10").want(t, 303)
	r.dead(3)
	if !r.lives("fail/0") || !r.lives("fail/1") {
		t.Error("they were not requeued")
	}
	r.create(&triggerhook.Task{ID: "fail/2", Due: time.Now().Add(time.Hour)})
	r.get("letter?id=fail/2").want(t, 200, "cannot be requeued")
	r.confirmed("requeue?id=fail/2", "").want(t, 409, "fail/2")
	a := r.confirmed("requeue?reason=attempts", "Requeue 3 dead letters?", "to", "2h").want(t, 303)
	r.get(a.header.Get("Location")).want(t, 200, "Requeued, except those whose ID a living task has: 2.")
	r.confirmed("requeue?", "", "rate", "-1").want(t, 400, "-1")
	a = r.confirmed("purge?", "Purge 1 dead letter?").want(t, 303)
	r.get(a.header.Get("Location")).want(t, 200, "Purged: 1.")
	r.dead(0)
	r.get("requeue?id=none").want(t, 404, "none")
	r.post("purge", "id", "x", "count", "1").want(t, 404)
}

func TestANamespaceIsPausedAndResumed(t *testing.T) {
	r := newRig(t, operating())
	r.post("pause", "until", "yesterday").want(t, 400, "yesterday", `value="yesterday"`)
	r.post("pause", "until", "-1h").want(t, 400)
	r.post("pause", "until", "1h").want(t, 303)
	r.get("pause?done=paused").want(t, 200, "The namespace is paused.", "Resume")
	r.get("").want(t, 200, "Paused since")
	r.post("resume").want(t, 303)
	r.get("pause?done=resumed").want(t, 200, "Tasks are delivered again.", "Pause the namespace")
}
