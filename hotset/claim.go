package hotset

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// answerBytes is how many bytes of entries the answer to one claim may have, unless answers
// of the partition were lost: a server may limit what waits for a client, and a claim has
// 2 s.
const answerBytes = 1 << 20

// easing makes the claims from one partition smaller after their answers were lost. Each
// level halves how many members a claim takes, and quarters how many bytes of entries its
// answer may have.
type easing struct {
	level int
	since time.Time // when the level last changed
}

const (
	// easeMost is the greatest level: a claim takes 31 members and 1 KiB then.
	easeMost = 5
	// easeFor is how long a level lasts, unless another answer is lost.
	easeFor = 30 * time.Second
)

// room returns how many members and bytes a claim from p asks for.
func (r *Redis) room(p int) (members, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := &r.eased[p]
	if e.level > 0 && time.Since(e.since) >= easeFor {
		*e = easing{e.level - 1, time.Now()}
	}
	return chunk >> e.level, answerBytes >> (2 * e.level)
}

// ease raises the level of p. The answer to a claim was lost: the claim was repeated, and found
// its batch.
func (r *Redis) ease(p int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.eased[p] = easing{min(r.eased[p].level+1, easeMost), time.Now()}
}

// Pause implements Set.
func (r *Redis) Pause(ctx context.Context, p int) error {
	_, err := r.run(ctx, p, "pause", nil)
	return err
}

// Claim implements Set.
func (r *Redis) Claim(ctx context.Context, p int, req task.ClaimRequest) (task.Batch, error) {
	if req.Ahead > task.MaxAhead {
		return task.Batch{}, fmt.Errorf("%w: claim %s ahead, at most %s are allowed", task.ErrInvalid, req.Ahead, task.MaxAhead)
	}
	most, bytes := r.room(p)
	limit := max(0, min(req.Limit, most))
	interval := strconv.FormatFloat(float64(req.Interval)/float64(time.Microsecond), 'f', -1, 64)
	ahead := max(0, min(req.AheadLimit, limit))
	run := r.run
	if ahead > 0 && r.single {
		run = r.runThenTime
	}
	a, err := run(ctx, p, "claim", r.batches(p, []string{req.Token}), req.Token, limit, req.Lease.Milliseconds(), bytes,
		req.MaxInFlight, interval, req.Ahead.Milliseconds(), ahead)
	if err != nil {
		return task.Batch{}, err
	}
	b := task.Batch{AsOf: a.asOf, ClockUS: a.doneUS, Token: req.Token, NextMS: a.int(), LoadedMS: a.int()}
	if b.Repeated = a.int() == 1; b.Repeated {
		r.ease(p)
	}
	members, entries := a.list(), a.list()
	if len(members) != len(entries) {
		return b, fmt.Errorf("claim from partition %d: %d members but %d entries", p, len(members), len(entries))
	}
	b.Pause, b.AgainMS, b.Full = task.Pause{Seq: a.int(), UntilMS: a.int()}, a.int(), a.int() == 1
	if b.Claims, err = parseClaims(members, entries); err == nil {
		err = noteOffers(b, a.strs())
	}
	if err != nil {
		return b, fmt.Errorf("claim from partition %d: %w", p, err)
	}
	return b, a.err
}

// slab is how many claims share one allocation for their payloads: few enough that a
// payload that is kept for long keeps little memory alive.
const slab = 16

func parseClaims(members, entries []any) ([]task.Claim, error) {
	if len(members) == 0 {
		return nil, nil
	}
	claims := make([]task.Claim, len(members))
	var payloads [slab]string
	for from := 0; from < len(members); from += slab {
		some := claims[from:min(from+slab, len(claims))]
		n := 0
		for i := range some {
			var err error
			if some[i], payloads[i], err = parseClaim(members[from+i], entries[from+i]); err != nil {
				return nil, err
			}
			n += len(payloads[i])
		}
		all := make([]byte, 0, n)
		for i := range some {
			start := len(all)
			if all = append(all, payloads[i]...); len(all) > start {
				some[i].Payload = all[start:len(all):len(all)]
			}
		}
	}
	return claims, nil
}

func parseClaim(m, entry any) (c task.Claim, payload string, err error) {
	text, _ := m.(string)
	if c.Ref, err = parseMember(text); err != nil {
		return c, "", err
	}
	switch entry := entry.(type) {
	case nil:
		c.EntryLost = true
	case string:
		c.Entry, payload, err = splitEntry(c.Ref, entry)
	default:
		err = fmt.Errorf("entry of %q is a %T", c.ID, entry)
	}
	return c, payload, err
}

// noteOffers notes when the members of b are offered that were not due when they were claimed. all are these times of all members, or none.
func noteOffers(b task.Batch, all []string) error {
	if len(all) > 0 && len(all) != len(b.Claims) {
		return fmt.Errorf("%d members but %d times", len(b.Claims), len(all))
	}
	for i, text := range all {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("time of %q: %w", b.Claims[i].ID, err)
		}
		if ms > b.AsOf.TimeUS/1000 {
			b.Claims[i].OfferMS = ms
		}
	}
	return nil
}
