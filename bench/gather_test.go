package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// One caller's failure is not told to those who share a statement with it.
func TestEachOfAGroupLearnsItsOwn(t *testing.T) {
	in := make(chan request, 20)
	var mu sync.Mutex
	sizes := map[int]int{}
	bad := errors.New("there is no such row")
	var callers sync.WaitGroup
	for i := range 20 {
		callers.Go(func() {
			id := fmt.Sprint(i)
			err := inGroup(t.Context(), 20, []item{{id: id}}, nil, in)
			if want := id == "7"; (err != nil) != want {
				t.Errorf("caller %s is told %v, failed=%t is right", id, err, want)
			}
		})
	}
	for len(in) < cap(in) {
		pause(t.Context(), 1e6)
	}
	go gather(in, 8, func(_ context.Context, items []item) error {
		mu.Lock()
		defer mu.Unlock()
		sizes[len(items)]++
		for _, it := range items {
			if it.id == "7" {
				return bad
			}
		}
		return nil
	})
	callers.Wait()
	close(in)
	if sizes[8] != 2 || sizes[4] != 1 {
		t.Errorf("statements by their rows: %v, want two of 8 and one of 4", sizes)
	}
}
