package metrics_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/metrics"
)

// One collector for each Scheduler, registered beside the program's own metrics.
func ExampleNewCollector() {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := bolt.Open(filepath.Join(dir, "tasks"), bolt.Options{Namespace: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	set, err := local.New(local.Options{Namespace: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := s.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	if err := s.Create(ctx, &triggerhook.Task{Due: time.Now().Add(time.Hour)}); err != nil {
		log.Fatal(err)
	}
	registry := prometheus.NewRegistry() // a program mostly has prometheus.DefaultRegisterer
	collector := metrics.NewCollector(s)
	registry.MustRegister(collector)
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "triggerhook_created_total":
			fmt.Println(f.GetName(), f.GetMetric()[0].GetCounter().GetValue())
		case "triggerhook_namespace_tasks":
			fmt.Println(f.GetName(), f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	registry.Unregister(collector) // once Run has returned
	// Output:
	// triggerhook_created_total 1
	// triggerhook_namespace_tasks 1
}

// What handlers take, by how they end. The middleware is the last one, so it measures the handler alone.
func ExampleHandlers_Middleware() {
	handlers := metrics.NewHandlers("shop")
	registry := prometheus.NewRegistry()
	registry.MustRegister(handlers)
	o := triggerhook.Options{Middleware: []triggerhook.Middleware{handlers.Middleware}} // for triggerhook.New

	h := o.Middleware[0](func(context.Context, *triggerhook.Delivery) error { return nil }) // as Handle does
	if err := h(context.Background(), &triggerhook.Delivery{}); err != nil {
		log.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range families[0].GetMetric() {
		fmt.Println(m.GetLabel()[1].GetValue(), m.GetHistogram().GetSampleCount())
	}
	// Output:
	// discarded 0
	// error 0
	// gone 0
	// ok 1
	// panic 0
	// snoozed 0
}

// Each outcome is there from the start, so that a rate of errors is 0 before the first one.
func ExampleNewHandlers() {
	handlers := metrics.NewHandlers("shop")
	fmt.Println(testutil.CollectAndCount(handlers))
	// Output: 6
}
