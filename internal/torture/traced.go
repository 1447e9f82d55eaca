package main

import (
	"context"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/internal/history"
	"github.com/triggerhook/triggerhook/task"
)

// traced is a Set that records claims and renewals of leases. One line, after the
// act, that also tells when it was sent, is enough: a claim whose answer never
// came led to no delivery.
type traced struct {
	hotset.Set
	rec *history.Recorder

	mu    sync.Mutex
	first map[string]int64 // by token: when a claim was sent first, of those that failed
}

func (t *traced) Claim(ctx context.Context, p int, token string, limit int, lease time.Duration) (task.Batch, error) {
	began := t.begin(token)
	b, err := t.Set.Claim(ctx, p, token, limit, lease)
	if err != nil {
		return b, err
	}
	t.mu.Lock()
	delete(t.first, token)
	t.mu.Unlock()
	if len(b.Claims) > 0 {
		members := make([]history.Member, len(b.Claims))
		for i, c := range b.Claims {
			members[i] = history.Member{ID: c.ID, Ver: c.Ver}
		}
		t.rec.Write(history.Event{Op: history.Claim, Token: token, Began: began, Members: members})
	}
	return b, nil
}

// begin is when the first claim of token was sent: that one may have made the batch.
func (t *traced) begin(token string) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first[token] == 0 {
		t.first[token] = history.Now()
	}
	return t.first[token]
}

func (t *traced) Extend(ctx context.Context, p int, h task.Held) (task.Extended, error) {
	began := history.Now()
	e, err := t.Set.Extend(ctx, p, h)
	if err != nil {
		return e, err
	}
	lost := make(map[string]bool, len(e.Lost))
	for _, token := range e.Lost {
		lost[token] = true
	}
	var kept []string
	for _, token := range h.Tokens {
		if !lost[token] {
			kept = append(kept, token)
		}
	}
	if len(kept) > 0 {
		t.rec.Write(history.Event{Op: history.Extend, Began: began, Tokens: kept})
	}
	return e, nil
}
