package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
	"unicode"
)

// jobEnv makes this program the process of one measurement: a job.
const jobEnv = "TRIGGERHOOK_BENCH_JOB"

// job is one measurement: a scenario's variant on one system.
type job struct {
	Scenario, System string
	Variant          variant
	N, Workers       int
	Payload          int
	RTT              time.Duration
	Partitions       int // of the library's hot set
	Run              int
	Name             string         // its namespace and database: nothing of another's is there
	Clients, Direct  place          // by way of the delay, and for measuring
	PIDs             map[string]int // of the servers
	Versions         map[string]string
	Dir              string // for its files
	Profile          string
	Cannot           string // why it is not measured
	BullMQ           string // the folder of its program
	Unflushed        bool
}

// place is where the servers are.
type place struct {
	MySQL    string // DSN without a database
	Redis    string
	Flushed  string // a Redis that flushes its log at each write: where it is the durable store
	NATS     string
	Postgres string
}

// scenarioJobs lists the measurements of scenarios: systems side by side, so that a machine
// that slows down does so to all.
func scenarioJobs(w wish) []job {
	var all []job
	for _, name := range w.scenarios {
		sc := scenarios[name]
		for _, v := range w.variants(sc.variants) {
			for _, system := range w.systems {
				if v.History && system != "triggerhook" && system != "embedded" {
					continue
				}
				n := sc.n
				if isPeer(system) {
					n = sc.peersN
				}
				if system == "nats" {
					n = min(n, natsMost)
				}
				if w.n > 0 {
					n = w.n
				}
				no := ""
				if v.Rows > max(n, leastRows) {
					if w.n > 0 {
						continue
					}
					no = "so many rows would take " + system + " hours"
				}
				if w.unflushed && system == "embedded" {
					no = "embedded flushes each commit"
				}
				if v.Rows > 0 {
					n = min(n, growTasks)
				}
				all = append(all, job{Scenario: name, System: system, Variant: v, N: max(1, n/max(1, v.Share)), Workers: v.Workers,
					Payload: w.payload, RTT: w.rtt, Partitions: w.partitions, Profile: w.profile, Unflushed: w.unflushed, Cannot: no})
			}
		}
	}
	return all
}

// variants are those of all that w asks for. With a number of callers of its own, a
// variant that comes with several numbers is measured once, and has as many tasks as
// with the nearest of them.
func (w wish) variants(all []variant) (some []variant) {
	for _, v := range all {
		if !strings.Contains(v.Name, w.variant) || v.Full && w.n > 0 && w.variant == "" {
			continue
		}
		at := slices.IndexFunc(some, func(s variant) bool { return w.workers > 0 && s.Name == v.Name })
		switch {
		case at < 0:
			some = append(some, v)
		case math.Abs(float64(v.Workers-w.workers)) < math.Abs(float64(some[at].Workers-w.workers)):
			some[at] = v
		}
	}
	if w.workers > 0 {
		for i := range some {
			some[i].Workers = w.workers
		}
	}
	return some
}

// run measures j in a process of its own and writes its lines.
func (f *field) run(ctx context.Context, j job, out io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	return f.runBy(ctx, self, j, out)
}

// runBy is run by a program that may be another build of this one.
func (f *field) runBy(ctx context.Context, program string, j job, out io.Writer) error {
	j.Name = "b" + strings.ToLower(rand.Text()[:12])
	j.Clients, j.Direct, j.PIDs, j.Versions = f.clients, f.direct, f.pids(j.System), f.versions
	j.BullMQ = f.bullmq
	dir, err := os.MkdirTemp("", "triggerhook-bench-")
	if err != nil {
		return fmt.Errorf("folder of a measurement: %w", err)
	}
	defer os.RemoveAll(dir)
	j.Dir = dir
	text, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("write down a job: %w", err)
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), jobEnv+"="+string(text))
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	return cmd.Run()
}

// jobMain is the process of one measurement.
func jobMain(ctx context.Context, text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	if j.Profile != "" {
		stop, err := j.profile()
		if err != nil {
			return err
		}
		defer stop()
	}
	lines, err := j.measure(ctx)
	var no cannot
	if errors.As(err, &no) {
		l := j.line(nil)
		l.Cannot = string(no)
		lines, err = []line{l}, nil
	}
	if err != nil {
		return err
	}
	enc := json.NewEncoder(os.Stdout)
	for _, l := range lines {
		if err := enc.Encode(l); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
	}
	return nil
}

// profileName names the file of j's profile. The name of a variant is free text, of which only letters, digits, '.' and
// '-' are safe in a file's name: "1000/s" would name a folder that does not exist.
func (j job) profileName() string {
	variant := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '_'
	}, j.Variant.Name)
	return fmt.Sprintf("%s-%s-x%d-%s-%d.prof", j.Scenario, variant, j.Workers, j.System, j.Run)
}

func (j job) profile() (stop func(), err error) {
	if err := os.MkdirAll(j.Profile, 0o755); err != nil {
		return nil, fmt.Errorf("folder of profiles: %w", err)
	}
	f, err := os.Create(filepath.Join(j.Profile, j.profileName()))
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

func (j job) measure(ctx context.Context) (lines []line, err error) {
	if j.Cannot != "" {
		return nil, cannot(j.Cannot)
	}
	sc, known := scenarios[j.Scenario]
	if !known {
		return nil, fmt.Errorf("this build has no scenario %q", j.Scenario)
	}
	sys, err := open(ctx, j, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sys.close()) }()
	m, err := newMeter(j)
	if err != nil {
		return nil, err
	}
	defer m.close()
	return sc.measure(ctx, &stage{job: j, sys: sys, meter: m})
}

// line begins a result of j, with what a meter has read if it is not nil.
func (j job) line(r *reading) line {
	l := line{Scenario: j.Scenario, Variant: j.Variant.Name, System: j.System, N: j.N, Workers: j.Workers, Payload: j.Payload,
		RTTMS: float64(j.RTT.Microseconds()) / 1000, Run: j.Run, Unflushed: j.Unflushed, Day: time.Now().UTC().Format(time.DateOnly),
		Versions: maps.Clone(j.Versions), Cores: runtime.NumCPU()}
	if j.Partitions > 1 {
		l.Partitions = j.Partitions
	}
	l.Versions["go"] = runtime.Version()
	if r != nil {
		r.fill(&l)
	}
	return l
}
