package dashboard

import (
	"context"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook"
)

// dead lists dead letters.
func (d *dashboard) dead(w http.ResponseWriter, r *http.Request) error {
	v, status := list(r, deadKeys, func(ctx context.Context, v values) (iter.Seq2[triggerhook.DeadTask, error], error) {
		f, err := v.deadFilter(time.Now())
		return d.s.ListDead(ctx, f), err
	})
	return d.show(w, r, status, "dead", page{Title: "Dead letters", Current: "dead", Body: v})
}

// letterView is the page of the dead letters of one ID.
type letterView struct {
	ID      string
	Letters []letter // the one that died last is the first
	Lives   bool     // a task of that ID lives, so that none of them can be requeued
	Notice  string
}

// letter is one dead letter.
type letter struct {
	triggerhook.DeadTask
	Payload payload
}

// letter shows the dead letters of one ID.
func (d *dashboard) letter(w http.ResponseWriter, r *http.Request) error {
	query := values{r.URL.Query()}
	v := letterView{ID: query.Get("id"), Notice: notice(query)}
	info, err := d.s.Get(r.Context(), v.ID)
	if v.Lives = err == nil && info.ID != ""; statusOf(err) != http.StatusNotFound && err != nil {
		return err
	}
	all, err := d.deadOf(r.Context(), v.ID)
	if err != nil {
		return err
	}
	for _, one := range all {
		v.Letters = append(v.Letters, letter{one, d.payload(one.Payload)})
	}
	status := http.StatusOK
	if len(all) == 0 && v.Notice == "" {
		status = http.StatusNotFound
	}
	return d.show(w, r, status, "letter", page{Title: "Dead letter " + v.ID, Current: "dead", Body: v})
}

// mostLetters is how many dead letters of one ID a page shows.
const mostLetters = 20

// deadOf returns the dead letters of an ID, the last one first.
func (d *dashboard) deadOf(ctx context.Context, id string) (all []triggerhook.DeadTask, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	for one, err := range d.s.ListDead(ctx, triggerhook.DeadFilter{IDPrefix: id}) {
		if err != nil {
			return nil, err
		}
		if one.ID != id {
			break // in the order of IDs those of id come first
		}
		all = append(all, one)
	}
	slices.SortStableFunc(all, func(a, b triggerhook.DeadTask) int { return b.Died.Compare(a.Died) })
	return all[:min(len(all), mostLetters)], nil
}
