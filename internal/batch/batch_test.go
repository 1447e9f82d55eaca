package batch

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func echo(sizes *[]int) func([]int) []Result[int] {
	return func(items []int) []Result[int] {
		*sizes = append(*sizes, len(items))
		<-time.After(time.Second)
		res := make([]Result[int], len(items))
		for i, v := range items {
			res[i] = Result[int]{Value: v}
		}
		return res
	}
}

func TestCallsThatComeDuringAFlushShareTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		g := Group[int, int]{Max: 60, Flush: echo(&sizes)}
		first := g.Go(0)
		synctest.Wait()
		var rest []<-chan Result[int]
		for i := 1; i <= 100; i++ {
			rest = append(rest, g.Go(i))
		}
		<-first
		for i, ch := range rest {
			if r := <-ch; r.Value != i+1 || r.Err != nil {
				t.Fatalf("item %d was answered %v", i+1, r)
			}
		}
		if len(sizes) != 3 || sizes[0] != 1 || sizes[1] != 60 || sizes[2] != 40 {
			t.Fatalf("flushes of %v items, want [1 60 40]", sizes)
		}
	})
}

func TestWeightSplitsFlushesAndAHeavyItemGoesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		g := Group[int, int]{Weigh: func(v int) int { return v }, MaxWeight: 10, Flush: echo(&sizes)}
		chs := []<-chan Result[int]{g.Go(1)}
		synctest.Wait()
		for _, v := range []int{5, 5, 50, 3} {
			chs = append(chs, g.Go(v))
		}
		for _, ch := range chs {
			<-ch
		}
		if len(sizes) != 4 || sizes[1] != 2 || sizes[2] != 1 || sizes[3] != 1 {
			t.Fatalf("flushes of %v items, want [1 2 1 1]", sizes)
		}
	})
}

func TestACallerMayLeaveAndTheFlushGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		g := Group[int, int]{Flush: echo(&sizes)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := g.Do(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Do returned %v, want the end of its context", err)
		}
		if v, err := g.Do(t.Context(), 2); v != 2 || err != nil {
			t.Fatalf("Do returned %d, %v", v, err)
		}
		if len(sizes) != 2 {
			t.Fatalf("%d flushes, want 2", len(sizes))
		}
	})
}

func TestAFlushThatPanicsOrAnswersShortFailsItsCallers(t *testing.T) {
	for name, flush := range map[string]func([]int) []Result[int]{
		"panic: boom": func([]int) []Result[int] { panic("boom") },
		"answered 0":  func([]int) []Result[int] { return nil },
	} {
		g := Group[int, int]{Flush: flush}
		if _, err := g.Do(t.Context(), 1); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Do returned %v, want an error with %q", err, name)
		}
	}
}
