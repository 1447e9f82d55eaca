package throughput_test

import (
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/metrics/throughput"
)

// How many tasks the workers of a namespace confirm in a second, of two answers of Scheduler.Workers.
func ExampleMeter_Add() {
	now := time.Now()
	workers := func(after time.Duration, confirmed uint64) []triggerhook.WorkerInfo { // in a program: s.Workers(ctx)
		return []triggerhook.WorkerInfo{{ID: "5c1b", Name: "mailer-1", Started: now.Add(-time.Hour), Seen: now.Add(after),
			Stats: triggerhook.ProcessStats{Figures: consumer.Figures{Confirmed: confirmed, LatenessZero: confirmed}}}}
	}
	var m throughput.Meter
	m.Add(now, workers(0, 1000))
	f := m.Add(now.Add(2*time.Second), workers(2*time.Second, 1050))
	fmt.Println(f.Workers[0].Name, f.Rates.Confirmed, f.Sum.Confirmed, f.Lateness.Quantile(0.99))
	// Output: mailer-1 25 1050 0s
}
