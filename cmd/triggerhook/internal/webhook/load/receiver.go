package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/webhook"
)

// receiver takes webhooks on loopback, verifies each, and notes when the first of each task came.
type receiver struct {
	url    string
	server *http.Server
	verify *standardwebhooks.Webhook
	answer time.Duration

	mu         sync.Mutex
	first      map[string]arrival // by webhook-id
	duplicates int
	wrong      map[string]int // requests that were refused, by why
	arrived    chan struct{}  // has room for one: something came
}

// arrival is the first webhook of a task.
type arrival struct{ due, at time.Time }

// newReceiver starts a receiver that verifies by that secret.
func newReceiver(secret string, answer time.Duration) (*receiver, error) {
	v, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + l.Addr().String() + "/hook", verify: v, answer: answer, first: map[string]arrival{}, wrong: map[string]int{}, arrived: make(chan struct{}, 1)}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go r.server.Serve(l) // until close
	return r, nil
}

func (r *receiver) close() { _ = r.server.Close() }

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(io.LimitReader(q.Body, 1<<20))
	if err == nil {
		err = r.verify.Verify(body, q.Header)
	}
	due, errDue := time.Parse(time.RFC3339Nano, q.Header.Get(webhook.HeaderDue))
	if err == nil {
		err = errDue
	}
	if r.answer > 0 {
		<-time.After(r.answer)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case r.arrived <- struct{}{}:
	default:
	}
	if err != nil {
		r.wrong[err.Error()]++
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
	id := q.Header.Get(webhook.HeaderID)
	if _, is := r.first[id]; is {
		r.duplicates++
		return
	}
	r.first[id] = arrival{due, at}
}

// all waits until n tasks have come, or ctx has ended, or after the last one was due nothing has come for as long as patience says.
func (r *receiver) all(ctx context.Context, n int, lastDue time.Time, patience time.Duration) {
	end := time.NewTimer(time.Until(lastDue) + patience)
	defer end.Stop()
	for {
		r.mu.Lock()
		have := len(r.first)
		r.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-r.arrived:
			end.Reset(max(time.Until(lastDue), 0) + patience)
		case <-end.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// report prints what came, and reports whether all of n tasks came, none early, and each signature was right.
func (r *receiver) report(to io.Writer, n int, killed time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all, before, after []time.Duration
	early := 0
	for _, a := range r.first {
		late := a.at.Sub(a.due)
		if late < 0 {
			early++
		}
		all = append(all, late)
		switch {
		case killed.IsZero():
		case a.at.Before(killed):
			before = append(before, late)
		default:
			after = append(after, late)
		}
	}
	fmt.Fprintf(to, "received %d of %d, lost %d, early %d, duplicates %d, refused %d\n", len(all), n, n-len(all), early, r.duplicates, len(r.wrong))
	for why, times := range r.wrong {
		fmt.Fprintf(to, "refused %d times: %s\n", times, why)
	}
	line(to, "lateness of all", all)
	line(to, "that came before the kill", before)
	line(to, "that came after the kill", after)
	return len(all) == n && early == 0 && len(r.wrong) == 0
}

// line prints the percentiles of latenesses, if there are any.
func line(to io.Writer, what string, late []time.Duration) {
	if len(late) == 0 {
		return
	}
	slices.Sort(late)
	at := func(p float64) float64 { return float64(late[int(p*float64(len(late)-1))].Microseconds()) / 1000 }
	over := 0
	for _, l := range late {
		if l > 50*time.Millisecond {
			over++
		}
	}
	fmt.Fprintf(to, "%-26s p50 %.1f ms, p90 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, max %.1f ms; above 50 ms: %d of %d\n", what, at(.5), at(.9), at(.99), at(.999), at(1), over, len(late))
}
