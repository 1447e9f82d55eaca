package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

// NATS and BullMQ, the real ones, deliver each task once and not early, from one process and from two, and delete what they are told
// to: the measurements themselves fail otherwise.
func TestNATSAndBullMQMeasure(t *testing.T) {
	w := wish{scenarios: []string{"delete", "burst", "now", "lateness"}, systems: []string{"nats", "bullmq"}, n: 40, workers: 2, payload: 20}
	f, err := bring(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if f.versions["nats"] == "" || f.versions["bullmq"] == "" {
		t.Errorf("the versions are %v, want those of nats and bullmq", f.versions)
	}
	for _, j := range jobs(w) {
		t.Run(j.System+" "+j.Scenario+" "+j.Variant.Name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := f.run(t.Context(), j, &out); err != nil {
				t.Fatal(err)
			}
			var l line
			if err := json.Unmarshal(out.Bytes(), &l); err != nil {
				t.Fatal(err)
			}
			cannot := j.Scenario == "delete" && j.Variant.PerCall > 1 || j.Variant.Fails > 0
			if (l.Cannot != "") != cannot || (l.RatePerS > 0) == cannot || !cannot && l.CPUS <= 0 {
				t.Errorf("got %+v, want a rate, unless many are to be deleted by one call, or some fail", l)
			}
		})
	}
}

// A call to BullMQ's process does not wait for an answer that cannot come, and a line that is no answer is not passed over.
func TestBullMQsProcessMayEnd(t *testing.T) {
	for name, c := range map[string]struct{ says, want string }{
		"it answers":             {`{"call":1,"n":7}`, ""},
		"it refuses":             {`{"call":1,"error":"no room"}`, "no room"},
		"it ends":                {"", "answers no more: EOF"},
		"it answers another":     {`{"call":2}`, "answers no more: EOF"},
		"it writes nonsense":     {"ready!", `read "ready!\n"`},
		"a delivery has no time": {`{"at":[["id"]],"done":0}`, "no delivery"},
		"nothing was asked for":  {`{"at":[["id",1]],"done":0}`, "no delivery"},
	} {
		t.Run(name, func(t *testing.T) {
			in, calls := io.Pipe()
			b := &bullmq{in: calls, ended: make(chan struct{}), pending: map[int]chan bullmqAnswer{}}
			out, says := io.Pipe()
			go b.listen(out)
			go func() {
				_, _ = in.Read(make([]byte, 1000)) // the call
				if c.says != "" {
					_, _ = says.Write([]byte(c.says + "\n"))
				}
				_ = says.Close()
			}()
			n, err := b.call(t.Context(), bullmqCall{Op: "left"})
			if c.want == "" && (err != nil || n != 7) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("the call got %d, %v, want an error with %q", n, err, c.want)
			}
			<-b.ended
			if _, err := b.call(t.Context(), bullmqCall{Op: "left"}); err == nil {
				t.Error("a call to a process that has ended got an answer")
			}
		})
	}
}

// The time of a delivery is the one that the process names, not when the line is read.
func TestBullMQTellsWhenItDelivered(t *testing.T) {
	b := &bullmq{ended: make(chan struct{}), pending: map[int]chan bullmqAnswer{}}
	var mu sync.Mutex
	got := map[string]time.Time{}
	deliver := func(id string, at time.Time) {
		mu.Lock()
		defer mu.Unlock()
		got[id] = at
	}
	b.deliver.Store(&deliver)
	b.listen(strings.NewReader(`{"at":[["a",1796026173034281],["b",1796026173034290]],"done":1}` + "\n" + `{"at":[],"done":2}` + "\n"))
	if len(got) != 2 || got["a"].UnixMicro() != 1796026173034281 || got["b"].UnixMicro() != 1796026173034290 || b.done.Load() != 2 {
		t.Errorf("the deliveries are %v and %d are done, want a, b at their times, and 2", got, b.done.Load())
	}
}
