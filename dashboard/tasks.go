package dashboard

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/triggerhook/triggerhook"
)

const (
	// perPage is how many elements a page of a list has.
	perPage = 50
	// listTimeout is how long a page of a list may take. A filter by headers may have to read very many tasks.
	listTimeout = 8 * time.Second
)

// find leads from the search box to the task of that ID, or to the tasks whose IDs begin so.
func (d *dashboard) find(w http.ResponseWriter, r *http.Request) error {
	text := r.URL.Query().Get("q")
	if text == "" {
		return redirect(w, "tasks")
	}
	_, err := d.s.Get(r.Context(), text)
	if err == nil {
		return redirect(w, "task?id="+url.QueryEscape(text))
	}
	if !errors.Is(err, triggerhook.ErrNotFound) {
		return err
	}
	return redirect(w, "tasks?prefix="+url.QueryEscape(text))
}

// listView is a page of a list.
type listView[T any] struct {
	Filter  values
	Items   []T
	More    string // the address of the next page; empty: this is the last one
	Notice  string // what has been done, or why the list is not whole
	Error   string
	Changes string // the filter as an address, for pages that change what matches; empty: there is no filter
	First   bool
}

// Get is a value of the filter.
func (v listView[T]) Get(key string) string { return v.Filter.Get(key) }

// placed is an element of a list, whose place is known.
type placed interface{ Cursor() string }

// collect reads the first of a list, as many as a page has. next is where the next page begins, empty if there is none. With an error it
// is after what was found.
func collect[T placed](all iter.Seq2[T, error]) (items []T, next string, err error) {
	for item, err := range all {
		if err != nil || len(items) == perPage {
			return items, next, err
		}
		items, next = append(items, item), item.Cursor()
	}
	return items, "", nil
}

// list makes a page of a list of what read yields for a filter that was read from the address.
func list[T placed](r *http.Request, keys []string, read func(context.Context, values) (iter.Seq2[T, error], error)) (listView[T], int) {
	query := values{r.URL.Query()}
	v := listView[T]{Filter: query.only(keys...), Notice: notice(query), First: query.Get("after") == ""}
	if len(v.Filter.Values) > 0 {
		v.Changes = v.Filter.Encode()
	}
	ctx, cancel := context.WithTimeout(r.Context(), listTimeout)
	defer cancel()
	all, err := read(ctx, query)
	var next string
	if err == nil {
		v.Items, next, err = collect(all)
	}
	if next != "" {
		v.More = "?" + v.Filter.with("after", next).Encode()
	}
	if err == nil {
		return v, http.StatusOK
	}
	v.Error = err.Error()
	if errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil {
		v.Error = fmt.Sprintf("The search was ended after %s, with what it had found: narrow it.", span(listTimeout))
		return v, http.StatusOK
	}
	return v, statusOf(err)
}

// tasks lists tasks.
func (d *dashboard) tasks(w http.ResponseWriter, r *http.Request) error {
	v, status := list(r, taskKeys, func(ctx context.Context, v values) (iter.Seq2[triggerhook.Info, error], error) {
		f, err := v.taskFilter(time.Now())
		return d.s.List(ctx, f), err
	})
	return d.show(w, r, status, "tasks", page{Title: "Tasks", Current: "tasks", Query: v.Get("prefix"), Body: v})
}

// taskView is the page of one task.
type taskView struct {
	ID      string
	Info    *triggerhook.Info // nil: no task of that ID lives
	Payload payload
	History []triggerhook.Ending
	NoHist  string // why there is no history
	Dead    []triggerhook.DeadTask
	Notice  string
}

// task shows one task, with what became of those that had its ID before.
func (d *dashboard) task(w http.ResponseWriter, r *http.Request) error {
	query := values{r.URL.Query()}
	v := taskView{ID: query.Get("id"), Notice: notice(query)}
	info, err := d.s.Get(r.Context(), v.ID)
	switch {
	case err == nil:
		v.Info, v.Payload = &info, d.payload(info.Payload)
	case !errors.Is(err, triggerhook.ErrNotFound):
		return err
	}
	history, err := d.s.History(r.Context(), v.ID)
	if err != nil && !errors.Is(err, triggerhook.ErrUnsupported) {
		return err
	}
	if v.History = history; err != nil {
		v.NoHist = "The store keeps no history."
	}
	if v.Dead, err = d.deadOf(r.Context(), v.ID); err != nil {
		return err
	}
	status := http.StatusOK
	if v.Info == nil && len(v.History) == 0 && len(v.Dead) == 0 && v.Notice == "" {
		status = http.StatusNotFound
	}
	return d.show(w, r, status, "task", page{Title: "Task " + v.ID, Current: "tasks", Body: v})
}

// notices are what pages tell of an operation that has been done. An address holds only the name and numbers.
var notices = map[string]string{
	"deleted": "Deleted: %s.", "claimed": "Deleted. A worker had claimed some of them before, and may still finish: %s.", "moved": "Rescheduled: %s.",
	"requeued": "Requeued: %s.", "purged": "Purged: %s.", "paused": "The namespace is paused.%.0s", "resumed": "Tasks are delivered again.%.0s",
	"living": "Requeued, except those whose ID a living task has: %s.",
}

// notice is what has been done, as an address tells it.
func notice(v values) string {
	text, is := notices[v.Get("done")]
	if !is {
		return ""
	}
	var n int64
	if _, err := fmt.Sscan(v.Get("n"), &n); err != nil || n < 0 {
		n = 0
	}
	return fmt.Sprintf(text, num(n))
}
