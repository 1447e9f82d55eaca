package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/history"
)

// pauseNamespace pauses the namespace for 1 to 4 seconds. A Pause that failed may have been recorded, so Resume follows in any case, until
// it succeeds.
func pauseNamespace(st *stage, r *rand.Rand) error {
	s, closeIt, err := st.scheduler()
	if err != nil {
		return err
	}
	defer closeIt()
	length := between(r, time.Second, 4*time.Second)
	return st.hit(history.Event{Kind: "pause"}, func() error {
		if err := within(callTime, func(ctx context.Context) error { return s.Pause(ctx, triggerhook.PauseOptions{}) }); err == nil {
			began := history.Now()
			hold(length)
			st.rec.Write(history.Event{Op: history.Halt, Began: began})
		}
		for {
			if err := within(callTime, s.Resume); err == nil {
				return nil
			}
			hold(time.Second)
		}
	})
}

// within calls do with that much time.
func within(d time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return do(ctx)
}
