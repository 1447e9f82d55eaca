package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// command runs a command on a pair of stores, and fails the test unless it ends with that exit code. It returns its standard output.
func command(t *testing.T, want int, pair target, in string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	args = append(args, "--store", pair.store, "--hot", pair.hot, "--namespace", pair.namespace)
	if got := execute(t.Context(), args, strings.NewReader(in), &out, &errs); got != want {
		t.Fatalf("triggerhook %s: exit code %d, want %d: %s", strings.Join(args, " "), got, want, errs.String())
	}
	return out.String()
}

// embedded is a pair in a new folder.
func embedded(t *testing.T) target {
	return target{store: "bolt:" + filepath.Join(t.TempDir(), "tasks.bolt"), hot: "local", namespace: "trip"}
}

// sameTasks compares an export with the tasks that were stored, in the order of their times. A time of creation is there, and is not compared.
func sameTasks(t *testing.T, text string, want []*triggerhook.Task) {
	t.Helper()
	want = slices.SortedFunc(slices.Values(want), func(a, b *triggerhook.Task) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID)) })
	got := slices.Collect(strings.Lines(text))
	if len(got) != len(want) {
		t.Fatalf("%d tasks came out, want %d", len(got), len(want))
	}
	for i, w := range want {
		var j exportedJSON
		if err := json.Unmarshal([]byte(got[i]), &j); err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		if j.ID != w.ID || !j.Due.Equal(w.Due) || !bytes.Equal(j.PayloadBase64, w.Payload) || !maps.Equal(j.Headers, w.Headers) || j.Created.IsZero() ||
			(j.Expires == nil) != w.Expires.IsZero() || j.Expires != nil && !j.Expires.Equal(w.Expires) {
			t.Fatalf("task %q came out as %.300s, want %.300s", w.ID, got[i], fmt.Sprint(*w))
		}
	}
}

// strangeTasks are tasks of many batches, with long payloads, and whatever IDs and headers may be.
func strangeTasks(rng *rand.Rand) []*triggerhook.Task {
	all := []*triggerhook.Task{
		{ID: "long", Due: time.Unix(2e9, 0), Payload: bytes.Repeat([]byte{0, 255}, 500_000)}, // longer than MaxPayload is by default
		{ID: `"<&>\ é 任務` + "\x01", Due: time.Unix(2e9, 123e6), Payload: []byte("\x00"), Headers: map[string]string{`k"`: "<\u2028>", "e": ""}},
		{ID: " x ", Due: time.Unix(2e9, 0)},
	}

	for i := range 2500 {
		task := &triggerhook.Task{ID: fmt.Sprint("t", i), Due: time.Unix(2e9+rng.Int64N(100), rng.Int64N(1000)*1e6), Payload: make([]byte, rng.IntN(20))}
		if i%500 == 0 {
			task.Payload = make([]byte, 3<<20) // a page has more bytes than a store answers with
		}
		if i%3 == 0 {
			task.Expires = task.Due.Add(time.Duration(rng.Int64N(1000)) * time.Hour)
		}
		all = append(all, task)
	}
	return all
}

// Tasks that go from a file to MySQL and back are the same, whatever they hold.
func TestTasksComeBackFromARoundTrip(t *testing.T) {
	first, second := embedded(t), embedded(t)
	server := target{store: mysqlURL(t), hot: "redis://" + testserver.Shared(t, testserver.Redis).Addr, namespace: "trip"}
	for _, pair := range []target{first, server, second} {
		command(t, exitOK, pair, "", "migrate")
	}
	tasks := strangeTasks(rand.New(rand.NewPCG(1, 2)))
	fill(t, first, tasks)
	text := command(t, exitOK, first, "", "export")
	sameTasks(t, text, tasks)
	for _, pair := range []target{server, second} {
		result := command(t, exitOK, pair, text, "import", "-", "--json")
		if result != fmt.Sprintf(`{"read":%d,"created":%d,"kept":0}`+"\n", len(tasks), len(tasks)) {
			t.Errorf("import says %s", result)
		}
		text = command(t, exitOK, pair, "", "export")
		sameTasks(t, text, tasks)
	}
}

// fill stores tasks.
func fill(t *testing.T, pair target, tasks []*triggerhook.Task) {
	t.Helper()
	pair.partitions, pair.maxPayload = 1, mostPayload
	o, err := pair.open(t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	if err := o.Create(context.Background(), tasks...); err != nil {
		t.Fatal(err)
	}
}
