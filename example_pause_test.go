package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
)

// openPausing opens a Scheduler on the embedded pair, as ExampleNew does, in a folder that end
// removes.
func openPausing(o triggerhook.Options) (s *triggerhook.Scheduler, end func()) {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	store, err := bolt.Open(filepath.Join(dir, "tasks"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	set, err := local.New(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if s, err = triggerhook.New(store, set, o); err != nil {
		log.Fatal(err)
	}
	if err := s.Migrate(context.Background()); err != nil {
		log.Fatal(err)
	}
	return s, func() {
		if err := errors.Join(store.Close(), os.RemoveAll(dir)); err != nil {
			log.Fatal(err)
		}
	}
}

// Maintenance: nothing is delivered or created until it is over. The pause ends by itself if the program that began it dies.
func ExampleScheduler_Pause() {
	ctx := context.Background()
	s, end := openPausing(triggerhook.Options{})
	defer end()
	if err := s.Pause(ctx, triggerhook.PauseOptions{Producers: true, Until: time.Now().Add(time.Hour)}); err != nil {
		log.Fatal(err)
	}
	err := s.Create(ctx, &triggerhook.Task{ID: "early", Due: time.Now()})
	fmt.Println(errors.Is(err, triggerhook.ErrPaused))

	// ... wait until Stats tells that nothing is in flight, and do what is to be done ...

	if err := s.Resume(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Create(ctx, &triggerhook.Task{ID: "early", Due: time.Now()}))
	// Output:
	// true
	// <nil>
}

// Resume without a pause changes nothing.
func ExampleScheduler_Resume() {
	s, end := openPausing(triggerhook.Options{})
	defer end()
	fmt.Println(s.Resume(context.Background()))
	// Output: <nil>
}

// Tasks collect in a pause, and are delivered after it.
func ExamplePauseOptions() {
	ctx := context.Background()
	s, end := openPausing(triggerhook.Options{})
	defer end()
	begun := time.Now()
	if err := s.Pause(ctx, triggerhook.PauseOptions{Until: begun.Add(100 * time.Millisecond)}); err != nil {
		log.Fatal(err)
	}
	if err := s.Create(ctx, &triggerhook.Task{ID: "a", Due: begun}); err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(ctx)
	err := s.Handle(ctx, 1, func(_ context.Context, d *triggerhook.Delivery) error {
		fmt.Println(d.ID, time.Since(begun) >= 99*time.Millisecond)
		stop()
		return nil
	})
	fmt.Println(err)
	// Output:
	// a true
	// <nil>
}

// What a dashboard shows of a pause.
func ExamplePauseStatus() {
	ctx := context.Background()
	s, end := openPausing(triggerhook.Options{})
	defer end()
	if err := s.Pause(ctx, triggerhook.PauseOptions{}); err != nil {
		log.Fatal(err)
	}
	st, err := s.Stats(ctx)
	p := st.Namespace.Pause
	fmt.Println(p.Paused(), p.Until.IsZero(), p.Producers, st.Namespace.InFlight, err)
	// Output: true true false 0 <nil>
}

// PauseStatus is zero, and Paused false, when tasks are delivered.
func ExamplePauseStatus_Paused() {
	s, end := openPausing(triggerhook.Options{})
	defer end()
	st, err := s.Stats(context.Background())
	fmt.Println(st.Namespace.Pause.Paused(), err)
	// Output: false <nil>
}
