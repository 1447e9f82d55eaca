package main

import "context"

// request is one caller's row on its way into a statement of many.
type request struct {
	it   item
	done chan error
}

type act = func(context.Context, []item) error

// gather takes what waits into one statement, at most so many; if that fails, having
// changed nothing, each goes alone.
func gather(in <-chan request, most int, do act) {
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
		err := do(context.Background(), items)
		for i, r := range all {
			if err != nil && len(all) > 1 {
				r.done <- do(context.Background(), items[i:i+1])
			} else {
				r.done <- err
			}
		}
	}
}

// inGroup is a statement of its own for a call of many and for up to 8 callers, who have a connection each; more share.
func inGroup(ctx context.Context, callers int, items []item, do act, in chan<- request) error {
	if len(items) > 1 || callers <= 8 {
		return do(ctx, items)
	}
	r := request{items[0], make(chan error, 1)}
	in <- r
	return <-r.done
}
