package hotsettest

import (
	"context"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// watch watches with w until the test ends, and returns once what happens is heard. The channel is what wakes.
func (k *kit) watch(w task.Watcher) <-chan struct{} {
	ctx, cancel := context.WithCancel(k.Context())
	wake, done := make(chan struct{}, 1), make(chan error, 1)
	w.Wake = wake
	go func() { done <- k.Watch(ctx, w) }()
	k.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			k.Errorf("Watch returned %v when its context ended", err)
		}
	})
	k.heard(wake, "the subscription")
	return wake
}

// heard waits for an element of c.
func (k *kit) heard(c <-chan struct{}, what string) {
	k.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		k.Errorf("not told of %s", what)
	}
}

// tellsKept: those who watch hear of roles that are won or renewed, and of no others; of none while a process asks for the workers.
func tellsKept(k *kit) {
	k.warm()
	type kept struct {
		roles []task.Role
		term  time.Duration
	}
	told := make(chan kept, 10)
	wake := k.watch(task.Watcher{Kept: func(roles []task.Role, term time.Duration) { told <- kept{roles, term} }})
	elect := func(holder string, term time.Duration, roles ...task.Role) {
		k.Helper()
		_, err := k.Elect(k.Context(), holder, term, roles...)
		k.must(err)
	}
	want := func(term time.Duration, roles ...task.Role) {
		k.Helper()
		select {
		case got := <-told:
			if !slices.Equal(got.roles, roles) || got.term != term {
				k.Errorf("told of roles %v for %s, want %v for %s", got.roles, got.term, roles, term)
			}
		case <-time.After(10 * time.Second):
			k.Fatalf("not told of roles %v for %s", roles, term)
		}
	}
	elect("a", time.Minute, task.Reaper)
	want(time.Minute, task.Reaper)
	elect("b", 2*time.Minute, task.Feeder, task.Reaper, task.Auditor)
	want(2*time.Minute, task.Feeder, task.Auditor)
	elect("c", time.Minute, task.Feeder, task.Reaper) // has none
	elect("a", 3*time.Minute, task.Feeder, task.Reaper)
	want(3*time.Minute, task.Reaper)
	elect("a", 0, task.Reaper) // resigns
	_, err := k.Workers(k.Context())
	k.must(err)
	elect("b", time.Minute, task.Feeder)
	elect("b", 0, task.Feeder)
	k.must(k.Pause(k.Context(), k.p)) // wakes after what the elections would have told
	k.heard(wake, "a pause")
	if len(told) > 0 {
		k.Errorf("told once more: %+v", <-told)
	}
}

// tellsQuiet: those who watch hear that nothing is offered for long, each time that a feeder meets the partition so; it wakes none.
func tellsQuiet(k *kit) {
	k.warm()
	quiet := make(chan struct{}, 10)
	wake := k.watch(task.Watcher{Quiet: func(p int) {
		if p != k.p {
			k.Errorf("told that partition %d is quiet, want %d", p, k.p)
		}
		quiet <- struct{}{}
	}})
	k.warm()
	k.heard(quiet, "a partition in which nothing waits")
	soon := time.UnixMicro(k.now().TimeUS).Add(time.Hour)
	k.add(task.AddTaken, entry("later", soon.UnixMilli()))
	k.heard(wake, "an earlier member")
	k.warm()
	k.heard(quiet, "a partition in which something waits for long")
	soon = time.UnixMicro(k.now().TimeUS).Add(task.QuietFor)
	k.add(task.AddTaken, entry("soon", soon.UnixMilli()))
	k.heard(wake, "an earlier member")
	k.warm()
	k.must(k.Pause(k.Context(), k.p)) // wakes after what the round would have told
	k.heard(wake, "a pause")
	if len(quiet) > 0 {
		k.Error("a partition was told to be quiet in which something is offered soon")
	}
}
