package main

import "context"

// request is one caller's row on its way into a statement of many.
type request struct {
	it   item
	done chan error
}

// gather takes what waits into one statement; if that fails each goes alone.
func gather(in <-chan request, act func(context.Context, []item) error) {
	for r := range in {
		all, items := []request{r}, []item{r.it}
		for more := true; more && len(all) < most; {
			select {
			case r := <-in:
				all, items = append(all, r), append(items, r.it)
			default:
				more = false
			}
		}
		err := act(context.Background(), items)
		for i, r := range all {
			if err != nil && len(all) > 1 {
				r.done <- act(context.Background(), items[i:i+1])
				continue
			}
			r.done <- err
		}
	}
}

// call is a statement of its own for a call of many and for up to 8 callers, who
// have a connection each; more callers share.
func (l *limit) call(ctx context.Context, items []item, act func(context.Context, []item) error, in chan<- request) error {
	if len(items) > 1 || l.j.Workers <= 8 {
		return act(ctx, items)
	}
	r := request{items[0], make(chan error, 1)}
	in <- r
	return <-r.done
}
