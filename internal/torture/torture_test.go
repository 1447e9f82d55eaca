package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/internal/history"
)

// The test binary is the workers' program too. It runs in namespaces of its own, as the
// program does, where the machine gives some.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "--worker" {
		main()
		return
	}
	if !canMount() {
		if code, err := runInOwn(os.Args[1:]...); err == nil {
			os.Exit(code)
		}
	}
	os.Exit(m.Run())
}

// Some seconds of everything, with few faults: the promises are kept, and each
// fault has happened.
func TestASmallRunKeepsThePromises(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) { // 1 partition and 4
		t.Run(fmt.Sprintf("mysql97+redis7/p%d", 1+3*seed), func(t *testing.T) {
			t.Parallel()
			f := smallRun(t, "--seed", fmt.Sprint(2+3*seed), "--faults", "kill,flushall,clock,cut,scriptflush")
			if f.Tasks < 100 || f.Confirmed < 50 || f.Delivered < f.Confirmed {
				t.Errorf("got %+v", f)
			}
		})
	}
}

// A few seconds with failovers, each of which is measured.
func TestASmallRunThroughFailoversKeepsThePromises(t *testing.T) {
	t.Parallel()
	for topology, faults := range map[string]string{"sentinel": "masterkill", "cluster": "failover,slotmove"} {
		t.Run("mysql97+"+topology+"/p4", func(t *testing.T) {
			t.Parallel()
			f := smallRun(t, "--topology", topology, "--seed", "5", "--faults", faults)
			n := 0
			for name, o := range f.Failovers {
				n += o.N
				if o.Engine.Max <= 0 || o.Deliveries.Max <= 0 {
					t.Errorf("%s was not measured: %+v", name, o)
				}
			}
			if want := strings.Count(faults, ",") + 1; n < want {
				t.Errorf("%d failovers were measured, want %d: %v", n, want, f.Failovers)
			}
		})
	}
}

// smallRun is a run of two workers and some seconds, which keeps the promises; each fault has
// happened.
func smallRun(t *testing.T, args ...string) figures {
	t.Helper()
	c, err := parse(append([]string{"--duration", "8s", "--workers", "2", "--json"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	st, err := setUp(t.Context(), c)
	defer st.tearDown()
	if err != nil {
		t.Fatal(err)
	}
	if st.parts != c.partitions() {
		t.Errorf("%d partitions, want %d", st.parts, c.partitions())
	}
	if err := st.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out, stories bytes.Buffer
	if kept, err := st.judge(&out, &stories); !kept || err != nil {
		t.Errorf("kept %t, %v: %s", kept, err, &stories)
	}
	var f figures
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		t.Fatal(err)
	}
	for _, name := range c.faults {
		if f.Faults[name] == 0 {
			t.Errorf("no %s: %v", name, f.Faults)
		}
	}
	return f
}

// A broken promise makes the verdict false, and its whole story is printed.
func TestABrokenPromiseIsToldWithItsStory(t *testing.T) {
	st := stage{parts: 1, config: config{topologyName: single, json: true, faults: []string{"kill", "oom"}}, path: filepath.Join(t.TempDir(), "history")}
	rec, err := history.Open(st.path, "w1.1")
	if err != nil {
		t.Fatal(err)
	}
	due := time.Now().Add(time.Hour).UnixMilli()
	rec.Write(history.Event{Op: history.Create, Call: 1, ID: "a", DueMS: due})
	rec.Write(history.Event{Op: history.Create, Call: 1, ID: "a", DueMS: due, End: true, Result: history.OK})
	rec.Write(history.Event{Op: history.Deliver, Call: 1, ID: "a", DueMS: due})
	rec.Write(history.Event{Op: history.Create, Call: 2, ID: "b", DueMS: due})
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	var out, stories bytes.Buffer
	if kept, err := st.judge(&out, &stories); kept || err != nil {
		t.Errorf("kept %t, %v", kept, err)
	}
	if text := stories.String(); strings.Count(text, `"op":"create"`) != 2 || !strings.Contains(text, "early: a:") || strings.Contains(text, `"b"`) {
		t.Errorf("told: %s", text)
	}
	var f map[string]any
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"tasks", "delivered", "confirmed", "lost", "early", "ghosts", "duplicates", "unexplained_duplicates", "late_ms_p99"} {
		if _, is := f[key].(float64); !is {
			t.Errorf("%s is %v", key, f[key])
		}
	}
	if faults, _ := f["faults"].(map[string]any); len(faults) != 2 || f["early"] != 1.0 || f["lost"] != 1.0 {
		t.Errorf("got %s", &out)
	}
}

func TestFaultsAreChosenByName(t *testing.T) {
	for names, want := range map[string]string{"kill,cut": "cut kill", "none": "", "kill,kill": "kill"} {
		got, err := choose(strings.Split(names, ","), single, true)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("choose %s: %v, %v, want %s", names, got, err, want)
		}
	}
	all, err := choose([]string{"all"}, single, true)
	const want = "clientkill clientpause clock cut deadlock delay delkey diskfull drain flushall halfopen kill latereply laterequest metadatalock " +
		"mysqlkill mysqloffline mysqlreadonly oom pause promote redisempty redisold rolling scriptflush slowlink stop tworedis"
	if err != nil || strings.Join(all, " ") != want {
		t.Errorf("all: %v, %v, want %s: a seed that failed would not draw the same faults any more", all, err, want)
	}
	outside, err := choose([]string{"all"}, single, false)
	if err != nil || slices.Contains(outside, "mysqlkill") || !slices.Contains(outside, "flushall") {
		t.Errorf("all on servers that it did not start: %v, %v", outside, err)
	}
	for _, names := range []string{"", "nonsense"} {
		if _, err := choose([]string{names}, single, true); err == nil {
			t.Errorf("choose %q: no error", names)
		}
	}
	for _, name := range []string{"redisold", "mysqloffline", "diskfull"} {
		if _, err := choose([]string{name}, single, false); err == nil {
			t.Errorf("a server that it did not start is to feel %s", name)
		}
	}
	for _, args := range []string{"--mysql=a", "--redis=b", "--workers=0", "--rate=0", "more"} {
		if _, err := parse([]string{args}); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

// The same seed makes the same plan and the same load, another one makes others.
func TestASeedDecidesTheRun(t *testing.T) {
	plan := func(seed uint64) string {
		w := worker{spec: spec{Seed: seed}}
		r := rand.New(rand.NewPCG(seed, 0))
		return fmt.Sprint(round(r, []string{"a", "b", "c", "d", "e", "f"}), w.random("x").Int64(), w.random("y").Int64())
	}
	first, again, other := plan(1), plan(1), plan(2)
	if first != again {
		t.Errorf("two plans of one seed differ: %s, %s", first, again)
	}
	if first == other {
		t.Error("two seeds have one plan")
	}
}

// clockProgram prints by how many seconds package time is ahead of the kernel, and
// whether the monotonic clock is too.
const clockProgram = `package main

import (
	"fmt"
	"syscall"
	"time"
)

func main() {
	var tv syscall.Timeval
	if err := syscall.Gettimeofday(&tv); err != nil {
		panic(err)
	}
	start := time.Now()
	fmt.Println(start.Unix()-tv.Sec, time.Since(start) < time.Minute)
}
`

func TestAClockIsShifted(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte(clockProgram), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := buildShifted(context.Background(), dir, source)
	if err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string][]string{"": {"0", "1"}, "3600": {"3600", "3601"}, "-5": {"-5", "-4"}} {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), clockEnv+"="+set)
		out, err := cmd.Output()
		got := strings.Fields(string(out))
		if err != nil || len(got) != 2 || !slices.Contains(want, got[0]) || got[1] != "true" {
			t.Errorf("shifted by %q: %s %v, want one of %v", set, out, err, want)
		}
	}
}
