package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The tests' binary is the program too: a measurement starts its own processes.
func TestMain(m *testing.M) {
	if os.Getenv(jobEnv)+os.Getenv(workerEnv)+os.Getenv(natsEnv) != "" {
		os.Exit(command(nil))
	}
	os.Exit(m.Run())
}

// The embedded pair needs no server, and measures as all others do.
func TestEmbeddedDoesEveryScenario(t *testing.T) {
	w := wish{scenarios: scenarioNames(), systems: []string{"embedded"}, n: 200, payload: 20}
	f := &field{versions: map[string]string{}}
	seen := map[string]bool{}
	for _, j := range jobs(w) {
		if j.Scenario != "grow" && seen[j.Scenario+j.Variant.Name] {
			continue // other numbers of callers
		}
		seen[j.Scenario+j.Variant.Name] = true
		t.Run(j.Scenario+" "+j.Variant.Name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := f.run(t.Context(), j, &out); err != nil {
				t.Fatal(err)
			}
			for dec := json.NewDecoder(&out); dec.More(); {
				var l line
				if err := dec.Decode(&l); err != nil {
					t.Fatal(err)
				}
				if l.Scenario != j.Scenario || (l.RatePerS <= 0) != (l.Cannot != "") || l.RedisCmdsPerTask != nil {
					t.Errorf("got %+v, want a rate or a reason for none, and no Redis", l)
				}
			}
		})
	}
}

// A system that loses, repeats or hurries is found out by the scenario itself. Time
// in a bubble passes at once: the wait for what is lost too.
func TestAScenarioFailsWithItsSystem(t *testing.T) {
	for name, c := range map[string]struct {
		sys  *liar
		want string // empty: nothing is wrong
	}{
		"honest": {&liar{}, ""},
		"loses":  {&liar{loses: 1}, "1 are lost"},
		"twice":  {&liar{again: 1}, "1 came again"},
		"early":  {&liar{ahead: time.Hour}, "10 came early"},
		"slack":  {&liar{slack: 1}, "confirms do not land"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stage{job: job{Scenario: "send", System: "liar", N: 10}, sys: c.sys}
				book := newLedger(s.N)
				if err := s.overdue(t.Context(), book, time.Now().Add(c.sys.ahead-time.Minute)); err != nil {
					t.Fatal(err)
				}
				err := errors.Join(s.consume(t.Context(), book, consumption{confirm: true, deliver: book.deliver}), book.judge())
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("the error is %v, want %q", err, c.want)
				}
			})
		})
	}
}

// liar delivers all but some at once, and delivers some of it again. It does not
// confirm all of it.
type liar struct {
	system
	ahead               time.Duration
	again, loses, slack int
	items               []item
	done                atomic.Int64
}

func (l *liar) fill(_ context.Context, n int, at func(int) item) error {
	l.items = items(0, n, at)
	return nil
}

func (l *liar) consume(ctx context.Context, c consumption) error {
	for _, it := range append(l.items[:l.again:l.again], l.items[l.loses:]...) {
		c.deliver(it.id, time.Now())
	}
	l.done.Store(int64(len(l.items) - l.slack))
	<-ctx.Done()
	return nil
}

func (l *liar) settled(context.Context) (int, error) { return int(l.done.Load()), nil }

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{"--scenario", "sleep"}, {"--system", "cron"}, {"--n", "-1"}, {"--runs", "0"}, {"--payload", "2000000"}, {"--nothing"}, {"left over"},
		{"--suite", "none"}, {"--suite", "peers", "--n", "5"}, {"--suite", "peers", "--scenario", "now"}} {
		if _, err := parseRun(args); err == nil {
			t.Errorf("run %q is taken, want an error", args)
		}
	}
	w, err := parseRun([]string{"--scenario", "send,create", "--system", "all", "--n", "5", "--rtt", "2ms"})
	if err != nil || strings.Join(w.scenarios, " ") != "create send" || len(w.systems) != len(systemNames) || w.n != 5 || w.rtt != 2*time.Millisecond {
		t.Errorf("got %+v, %v", w, err)
	}
}

// A suite has what it names, each measured under its own number of tasks, and for the systems that are asked for.
func TestASuiteIsAListOfMeasurements(t *testing.T) {
	for name, parts := range suites {
		w, err := parseRun([]string{"--suite", name})
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, p := range parts {
			want += len(p.systems)
		}
		if all := jobs(w); len(all) != want {
			t.Errorf("suite %s has %d measurements, want one a part and system, %d: %+v", name, len(all), want, all)
		}
	}
	w, err := parseRun([]string{"--suite", "peers", "--system", "asynq"})
	if err != nil || len(w.systems) != 1 || w.systems[0] != "asynq" {
		t.Fatalf("the suite for asynq is %+v, %v", w, err)
	}
	for _, j := range jobs(w) {
		if j.System != "asynq" || j.Scenario == "lateness" && j.Variant.Name == "1000/s" && j.N != 10_000 {
			t.Errorf("the suite for asynq has %s %s of %s with %d tasks", j.Scenario, j.Variant.Name, j.System, j.N)
		}
	}
}

func TestJobsFollowTheFlags(t *testing.T) {
	all := jobs(wish{scenarios: []string{"create"}, systems: []string{"triggerhook", "limit"}, n: 4000, workers: 32})
	if len(all) != 2*4 { // one a call and 500 a call, at two distances
		t.Errorf("%d jobs with 32 callers, want 8", len(all))
	}
	for _, j := range all {
		if j.Workers != 32 || j.N < 1 || j.N > 4000 {
			t.Errorf("a job has %d callers and %d tasks", j.Workers, j.N)
		}
	}
	grow := jobs(wish{scenarios: []string{"grow"}, systems: []string{"limit"}, n: 100_000})
	if len(grow) != 2 || grow[0].Variant.Rows != 10_000 || grow[1].Variant.Rows != 100_000 {
		t.Errorf("grow up to 10^5 rows has %d jobs, want 2", len(grow))
	}
}
