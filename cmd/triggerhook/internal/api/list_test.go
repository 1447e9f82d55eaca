package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
)

// spot is an element of a list.
type spot string

// Cursor is its place.
func (s spot) Cursor() string { return "at " + string(s) }

// slow yields n elements, and then looks for more until ctx ends.
func slow(n int) func(context.Context) iter.Seq2[spot, error] {
	return func(ctx context.Context) iter.Seq2[spot, error] {
		return func(yield func(spot, error) bool) {
			for i := range n {
				if !yield(spot(fmt.Sprint(i)), nil) {
					return
				}
			}
			<-ctx.Done()
			yield("", fmt.Errorf("list: %w", ctx.Err()))
		}
	}
}

// A page whose filter matches few has what was found in time, and goes on after it. If nothing was found the client is told to narrow it.
func TestAPageOfARareFilterEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Options: Options{Limits: Limits{Request: 30 * time.Second}}}
		for _, c := range []struct {
			found, limit, want int
			next               string
		}{{found: 2, limit: 5, want: 2, next: "at 1"}, {found: 7, limit: 5, want: 5, next: "at 4"}} {
			all, next, err := pageOf(t.Context(), s, c.limit, slow(c.found))
			if err != nil || len(all) != c.want || next != c.next {
				t.Errorf("of %d a page of %d: %v, %q, %v; want %d and %q", c.found, c.limit, all, next, err, c.want, c.next)
			}
		}
		began := time.Now()
		_, _, err := pageOf(t.Context(), s, 5, slow(0))
		if err == nil || !strings.Contains(err.Error(), "narrow the filter") || time.Since(began) != 15*time.Second {
			t.Errorf("nothing was found: %v after %s, want a hint after half the time of a request", err, time.Since(began))
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := pageOf(gone, s, 5, slow(0)); !errors.Is(err, context.Canceled) {
			t.Errorf("a client that is gone: %v", err)
		}
		broken := func(context.Context) iter.Seq2[spot, error] {
			return func(yield func(spot, error) bool) { _ = yield("0", nil) && yield("", triggerhook.ErrUnavailable) }
		}
		if all, next, err := pageOf(t.Context(), s, 5, broken); !errors.Is(err, triggerhook.ErrUnavailable) || all != nil || next != "" {
			t.Errorf("a store that fails: %v, %q, %v; want its error alone", all, next, err)
		}
	})
}
