package main

import (
	"context"
	"slices"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/history"
	"github.com/triggerhook/triggerhook/task"
)

// traced is a Set that records claims and renewals of leases.
type traced struct {
	hotset.Set
	rec *history.Recorder
}

// Claim implements hotset.Set.
func (t *traced) Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error) {
	e := history.Event{Op: history.Claim, Call: t.rec.Call(), Token: req.Token}
	t.rec.Write(e)
	b, err := t.Set.Claim(ctx, p, req)
	for _, c := range b.Claims {
		e.Members = append(e.Members, history.Member{ID: c.ID, Ver: c.Ver, DueMS: c.DueMS, Pay: pay(c.Payload)})
	}
	t.end(e, err)
	return b, err
}

// end records the end of an act that changed something, or whose outcome is unknown.
func (t *traced) end(e history.Event, err error) {
	e.End, e.Result = true, history.OK
	if err != nil {
		e.Result, e.Error = history.Unknown, err.Error()
	}
	t.rec.Write(e)
}

// Extend implements hotset.Set.
func (t *traced) Extend(ctx context.Context, p int, h task.ExtendRequest) (task.ExtendResult, error) {
	e := history.Event{Op: history.Extend, Call: t.rec.Call(), Tokens: h.Tokens}
	t.rec.Write(e)
	x, err := t.Set.Extend(ctx, p, h)
	if err == nil {
		e.Tokens = slices.DeleteFunc(slices.Clone(h.Tokens), func(token string) bool { return slices.Contains(x.Lost, token) })
	}
	t.end(e, err)
	return x, err
}

// tracedStore is a store that records burials, which may come without a caller, and tells which tasks are dead.
type tracedStore struct {
	*durable.MySQL
	rec  *history.Recorder
	dead chan<- string
}

// Bury implements durable.Store.
func (t *tracedStore) Bury(ctx context.Context, burials []task.Burial) ([]bool, error) {
	n := t.rec.Call()
	lines := make([]history.Event, len(burials))
	for i, b := range burials {
		lines[i] = history.Event{Op: history.Bury, Call: n, ID: b.ID, Ver: b.Ver, Reason: b.Reason, Attempt: b.Attempt}
	}
	t.rec.Write(lines...)
	moved, err := t.MySQL.Bury(ctx, burials)
	for i := range lines {
		e := &lines[i]
		switch e.End = true; {
		case err != nil:
			e.Result, e.Error = history.Unknown, err.Error()
		case moved[i]:
			e.Result = history.OK
			select {
			case t.dead <- e.ID:
			default:
			}
		default:
			e.Result = history.Gone
		}
	}
	t.rec.Write(lines...)
	return moved, err
}
