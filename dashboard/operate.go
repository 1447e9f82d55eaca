package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/triggerhook/triggerhook"
)

// countTimeout is how long it may take to count what an operation is going to change.
const countTimeout = 20 * time.Second

// target is what an operation changes: one ID, or what matches a filter.
type target struct {
	id     string // empty: it is a filter
	tasks  triggerhook.Filter
	dead   triggerhook.DeadFilter
	fields values // the ID or the filter, as the form has it; times are fixed
}

// input is a field of a form that says how an operation is done.
type input struct{ Name, Label, Hint, Value string }

// change is an operation on tasks or dead letters. Its page names how many it is going to change, and a request that finds
// more than that changes nothing.
type change struct {
	act    string // the last segment of its address
	verb   string // what the button says
	effect string // what the page says about it
	dead   bool   // it changes dead letters
	inputs func(one bool) []input
	count  func(context.Context, *triggerhook.Scheduler, target) (int, error)
	// do returns the name of a notice, and its number.
	do func(context.Context, *triggerhook.Scheduler, target, values) (done string, n int, err error)
}

// confirmView is the page that asks for a confirmation.
type confirmView struct {
	Act, Verb, Effect string
	What              string // how many of what
	Count             int
	Hidden            []hidden
	Inputs            []input
	Back              string
	Error             string
	None              bool
}

// hidden is a field that the user does not see.
type hidden struct{ Name, Value string }

var deleteTasks = change{act: "delete", verb: "Delete", effect: "A deleted task is not delivered any more. This cannot be undone.",
	inputs: func(bool) []input { return nil }, count: countTasks,
	do: func(ctx context.Context, s *triggerhook.Scheduler, t target, _ values) (string, int, error) {
		if t.id != "" {
			err := s.Delete(ctx, t.id)
			if errors.Is(err, triggerhook.ErrClaimed) && !errors.Is(err, triggerhook.ErrNotFound) {
				return "claimed", 1, nil
			}
			return "deleted", 1, err
		}
		result, err := s.DeleteWhere(ctx, t.tasks, triggerhook.WhereOptions{})
		if result.Claimed > 0 {
			return "claimed", result.Claimed, err
		}
		return "deleted", result.Changed, err
	}}

var moveTasks = change{act: "move", verb: "Reschedule", effect: "A worker that has a task in hand can no longer confirm it, and it is delivered at its new time.",
	inputs: func(one bool) []input {
		to := input{Name: "to", Label: "New time", Hint: "2026-12-24 18:00 (UTC), RFC 3339, now, or a duration from now on: 90s, 24h"}
		if one {
			return []input{to}
		}
		return []input{to, {Name: "by", Label: "Or shift each task", Hint: "A duration, later or earlier: 15m, -1h"}}
	}, count: countTasks,
	do: func(ctx context.Context, s *triggerhook.Scheduler, t target, form values) (string, int, error) {
		shift, err := form.shift(time.Now())
		switch {
		case err != nil:
			return "", 0, err
		case t.id != "" && shift.By != 0:
			return "", 0, invalid("By: one task is moved to a time")
		case t.id != "":
			return "moved", 1, s.Reschedule(ctx, t.id, shift.To)
		}
		result, err := s.RescheduleWhere(ctx, t.tasks, shift, triggerhook.WhereOptions{})
		return "moved", result.Changed, err
	}}

var requeueDead = change{act: "requeue", verb: "Requeue", dead: true,
	effect: "A dead letter becomes a task again, with its payload and headers, without Expires, and with attempt 1. A dead letter whose ID a living task has stays.",
	inputs: func(one bool) []input {
		due := input{Name: "to", Label: "Due", Hint: "Empty: now. 2026-12-24 18:00 (UTC), RFC 3339, or a duration from now on: 90s, 24h"}
		if one {
			return []input{due}
		}
		return []input{due, {Name: "rate", Label: "Tasks a second", Hint: "Empty: all at once. Their due times are spread, so that what has failed is not met by a wave"}}
	}, count: countDead,
	do: func(ctx context.Context, s *triggerhook.Scheduler, t target, form values) (string, int, error) {
		due, err := parseWhen("Due", form.get("to"), time.Now())
		if err != nil {
			return "", 0, err
		}
		if t.id != "" {
			return "requeued", 1, s.Requeue(ctx, t.id, due)
		}
		perSecond := 0.0
		if text := form.get("rate"); text != "" {
			if perSecond, err = strconv.ParseFloat(text, 64); err != nil || !(perSecond > 0) {
				return "", 0, invalid("Tasks a second: %q is no number above 0", text)
			}
		}
		n, err := s.RequeueDead(ctx, t.dead, triggerhook.RequeueOptions{Due: due, Rate: perSecond})
		if errors.Is(err, triggerhook.ErrExists) {
			return "living", n, nil
		}
		return "requeued", n, err
	}}

var purgeDead = change{act: "purge", verb: "Purge", effect: "Purged dead letters are deleted for good. This cannot be undone.", dead: true,
	inputs: func(bool) []input { return nil }, count: countDead,
	do: func(ctx context.Context, s *triggerhook.Scheduler, t target, _ values) (string, int, error) {
		if t.id != "" {
			return "", 0, invalid("id: dead letters are purged by a filter")
		}
		n, err := s.PurgeDead(ctx, t.dead)
		return "purged", n, err
	}}

// shift reads where tasks are moved.
func (v values) shift(now time.Time) (to triggerhook.Shift, err error) {
	if to.To, err = parseWhen("New time", v.get("to"), now); err != nil {
		return to, err
	}
	if by := v.get("by"); by != "" {
		if to.By, err = time.ParseDuration(by); err != nil || to.By == 0 {
			return to, invalid("Shift: %q is no duration other than 0, such as 15m or -1h", by)
		}
	}
	if (to.By != 0) == !to.To.IsZero() {
		return to, invalid("exactly one of a new time and a shift is needed")
	}
	return to, nil
}

// countTasks counts what matches, without a change.
func countTasks(ctx context.Context, s *triggerhook.Scheduler, t target) (int, error) {
	if t.id != "" {
		_, err := s.Get(ctx, t.id)
		return 1, err
	}
	result, err := s.DeleteWhere(ctx, t.tasks, triggerhook.WhereOptions{DryRun: true})
	return result.Matched, err
}

func countDead(ctx context.Context, s *triggerhook.Scheduler, t target) (n int, err error) {
	filter := t.dead
	if t.id != "" {
		filter = triggerhook.DeadFilter{IDPrefix: t.id}
	}
	for one, err := range s.ListDead(ctx, filter) {
		switch {
		case err != nil:
			return n, err
		case t.id == "":
			n++
		case one.ID == t.id:
			return 1, nil
		}
	}
	if t.id != "" {
		return 0, fmt.Errorf("%w: no dead letter has the ID %q", triggerhook.ErrNotFound, t.id)
	}
	return n, nil
}

// target reads what c is to change, from an address or a form.
func (c change) target(from values, now time.Time) (t target, err error) {
	if t.id = from.Get("id"); t.id != "" {
		t.fields = from.only("id")
		return t, nil
	}
	keys := taskKeys
	if c.dead {
		keys = deadKeys
	}
	if t.fields, err = from.only(keys...).fixed(now); err != nil {
		return t, err
	}
	switch {
	case c.dead && t.fields.Get("before") == "":
		t.fields = t.fields.with("before", iso(now)) // those that die from now on are not meant
	case len(t.fields.Values) == 0:
		return t, invalid("there is no filter: narrow the list first, because not all tasks of a namespace are changed at once here")
	}
	if c.dead {
		t.dead, err = t.fields.deadFilter(now)
	} else {
		t.tasks, err = t.fields.taskFilter(now)
	}
	return t, err
}

// counted counts what c is to change. It gives up in time, because a page must not read a whole table for minutes.
func (c change) counted(ctx context.Context, s *triggerhook.Scheduler, t target) (int, error) {
	limited, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	n, err := c.count(limited, s, t)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return 0, fmt.Errorf("more than %s match, and they could not be counted within %s: narrow the list, or use the command triggerhook: %w", num(n), span(countTimeout), err)
	}
	return n, err
}

// confirm shows the page that names how many c is going to change.
func (c change) confirm(d *dashboard, w http.ResponseWriter, r *http.Request) error {
	t, err := c.target(values{r.URL.Query()}, time.Now())
	if err != nil {
		return err
	}
	n, err := c.counted(r.Context(), d.s, t)
	if err != nil {
		return err
	}
	return c.ask(d, w, r, http.StatusOK, t, n, values{url.Values{}}, "")
}

// ask shows that page, with what the user has entered before, and why it is shown again.
func (c change) ask(d *dashboard, w http.ResponseWriter, r *http.Request, status int, t target, n int, entered values, why string) error {
	v := confirmView{Act: c.act, Verb: c.verb, Effect: c.effect, Count: n, What: c.what(t, n), Back: c.back(t), Error: why, None: n == 0, Inputs: c.inputs(t.id != "")}
	for _, k := range []string{"id", "prefix", "reason", "from", "before", "header", "value"} {
		if text := t.fields.Get(k); text != "" {
			v.Hidden = append(v.Hidden, hidden{k, text})
		}
	}
	for i := range v.Inputs {
		v.Inputs[i].Value = entered.Get(v.Inputs[i].Name)
	}
	current := map[bool]string{true: "dead", false: "tasks"}[c.dead]
	return d.show(w, r, status, "confirm", page{Title: c.verb, Current: current, Body: v})
}

// what names how many of what c changes.
func (c change) what(t target, n int) string {
	name := "task"
	if c.dead {
		name = "dead letter"
	}
	switch {
	case t.id != "":
		return "the " + name + " " + t.id
	case n == 1:
		return "1 " + name
	}
	return num(n) + " " + name + "s"
}

// back is the page that c was called from.
func (c change) back(t target) string {
	switch {
	case t.id != "" && c.dead:
		return "letter?" + t.fields.Encode()
	case t.id != "":
		return "task?" + t.fields.Encode()
	case c.dead:
		return "dead?" + t.fields.Encode()
	}
	return "tasks?" + t.fields.Encode()
}

// run does what was confirmed. If more match by now than the page has named, it asks again.
func (c change) run(d *dashboard, w http.ResponseWriter, r *http.Request) error {
	form := values{r.PostForm}
	t, err := c.target(form, time.Now())
	if err != nil {
		return err
	}
	n, err := c.counted(r.Context(), d.s, t)
	if err != nil {
		return err
	}
	named, err := strconv.Atoi(form.Get("count"))
	if err != nil {
		return invalid("count: %q is no number: a form names how many were confirmed", form.Get("count"))
	}
	if n > named {
		return c.ask(d, w, r, http.StatusConflict, t, n, form, fmt.Sprintf("By now %s match, and you have confirmed %s. Nothing was changed.", num(n), num(named)))
	}
	done, count, err := c.do(r.Context(), d.s, t, form)
	d.o.Logger.Info("dashboard: an operation", "operation", c.act, "on", t.fields.Encode(), "outcome", done, "count", count, "error", err, "remote", r.RemoteAddr)
	if errors.Is(err, triggerhook.ErrInvalid) {
		return c.ask(d, w, r, http.StatusBadRequest, t, n, form, err.Error())
	}
	if err != nil {
		return err
	}
	return redirect(w, c.back(t)+"&done="+done+"&n="+strconv.Itoa(count))
}
