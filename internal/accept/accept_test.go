package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

// TestMain turns this binary into a worker process if it is asked to.
func TestMain(m *testing.M) {
	if text := os.Getenv(workerEnv); text != "" {
		os.Exit(workerMain(text))
	}
	hush(io.Discard)
	goleak.VerifyTestMain(testserver.Closing(m), goleak.IgnoreAnyFunction(testserver.Goroutines))
}

// The tests run what make accept promises, at a twentieth of its size.
func TestTheSmallSizeIsATwentieth(t *testing.T) {
	for _, sc := range scenarios {
		if sc.small.tasks*20 != sc.full.tasks {
			t.Errorf("%s: %d tasks are not a twentieth of %d", sc.name, sc.small.tasks, sc.full.tasks)
		}
	}
}

// server brings a server to a test: one that is shared, or its own.
type server func(testing.TB, testserver.Kind) *testserver.Server

func own(t testing.TB, kind testserver.Kind) *testserver.Server { return testserver.Own(t, kind) }

// play runs a twentieth of a scenario, and no promise may be broken.
func play(t *testing.T, name string, mysql, redis server, partitions ...int) {
	chosen, err := choose(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range partitions {
		t.Run(fmt.Sprintf("mysql97+redis7/p%d", p), func(t *testing.T) {
			t.Parallel()
			st := stage{partitions: p, scaled: true, dir: t.TempDir()}
			st.mysql, st.redis = mysql(t, testserver.MySQL), redis(t, testserver.Redis)
			v, err := chosen[0].run(t.Context(), st)
			if err != nil {
				t.Fatalf("%v; so far: %s", err, v)
			}
			t.Log(v)
			for _, b := range v.Broken {
				t.Error(b)
			}
			if t.Failed() {
				warnings(t, st.dir)
			}
		})
	}
}

func TestABurstIsDeliveredOnceAndNeverEarly(t *testing.T) {
	t.Parallel()
	play(t, "burst", testserver.Shared, testserver.Shared, 1, 4)
}

func TestASteadyStreamIsDeliveredOnTime(t *testing.T) {
	t.Parallel()
	play(t, "steady", testserver.Shared, testserver.Shared, 1, 4)
}

func TestKilledWorkersLoseNothing(t *testing.T) {
	t.Parallel()
	play(t, "kill", testserver.Shared, testserver.Shared, 1, 4)
}

func TestASlowProcessHoldsUpNothingElse(t *testing.T) {
	t.Parallel()
	play(t, "slow", testserver.Shared, testserver.Shared, 1, 4)
}

func TestAFlushLosesNothingAndRedeliversNothingInHand(t *testing.T) {
	t.Parallel()
	play(t, "flush", testserver.Shared, own, 1, 4)
}

func TestOutagesLoseNothing(t *testing.T) {
	t.Parallel()
	play(t, "outage", own, own, 1, 4)
}

func TestAnOldSnapshotLosesAndResurrectsNothing(t *testing.T) {
	t.Parallel()
	play(t, "snapshot", testserver.Shared, own, 1, 4)
}

func TestAllTasksOfOneMomentAreDelivered(t *testing.T) {
	t.Parallel()
	play(t, "moment", testserver.Shared, testserver.Shared, 1, 4)
}

func TestIdleWorkersCostLittle(t *testing.T) {
	t.Parallel()
	play(t, "idle", own, own, 1)
}

// warnings shows what the workers' library reported.
func warnings(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.warnings"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s", text[:min(len(text), 8000)])
	}
}
