package metrics_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/metrics"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testserver.Closing(m), goleak.IgnoreAnyFunction(testserver.Goroutines),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")) // it sleeps for up to a second after its pool is closed
}

func embedded(t *testing.T, partitions int) (durable.Store, hotset.Set) {
	t.Helper()
	store, err := bolt.Open(filepath.Join(t.TempDir(), "tasks"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	set, err := local.New(local.Options{Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	return store, set
}

func servers(t *testing.T, my, cache *testserver.Server, partitions int) (durable.Store, hotset.Set, *redis.Client) {
	t.Helper()
	ns := "m" + strings.ToLower(rand.Text()[:10])
	store, err := durable.NewMySQL(my.DB(t, ""), durable.Options{Namespace: ns})
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: cache.Addr, MaxRetries: -1, DialTimeout: 100 * time.Millisecond})
	t.Cleanup(func() { rdb.Close() })
	set, err := hotset.NewRedis(rdb, hotset.Options{Namespace: ns, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	return store, set, rdb
}

func scheduler(t *testing.T, store durable.Store, set hotset.Set, o triggerhook.Options) *triggerhook.Scheduler {
	t.Helper()
	o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := triggerhook.New(store, set, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs s until the test ends or stop is called.
func run(t *testing.T, s *triggerhook.Scheduler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = func() {
		cancel()
		if err, ok := <-done; ok && err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(cancel)
	return stop
}

// page is one scrape, as Prometheus would read it over HTTP.
type page map[string]*dto.MetricFamily

func scrape(t *testing.T, c prometheus.Collector) page {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(c)
	srv := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	defer srv.Close()
	defer http.DefaultClient.CloseIdleConnections()
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("scrape: %d, %v", res.StatusCode, err)
	}
	return families
}

// value of a metric that has no labels but the namespace; -1 if it is not there.
func (p page) value(name string) float64 {
	f := p["triggerhook_"+name]
	if f == nil {
		return -1
	}
	m := f.Metric[0]
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	}
	return float64(m.Histogram.GetSampleCount())
}

// bothForms checks that the lateness is a histogram with fixed buckets, of which some are below 1 ms, and a native one of the
// same samples. The text format has the fixed buckets alone.
func bothForms(t *testing.T, c prometheus.Collector) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	h := &dto.Histogram{}
	for _, f := range families {
		if f.GetName() == "triggerhook_lateness_seconds" {
			h = f.Metric[0].Histogram
		}
	}
	below := 0
	for _, b := range h.Bucket {
		if b.GetUpperBound() < 0.001 {
			below++
		}
	}
	native, at := int64(h.GetZeroCount()), int64(0)
	for _, d := range h.PositiveDelta {
		at += d
		native += at
	}
	if below < 3 || h.GetSchema() != 3 || h.GetZeroThreshold() <= 0 || native != int64(h.GetSampleCount()) || len(h.PositiveSpan) == 0 {
		t.Errorf("%d fixed buckets below 1 ms, a native histogram of schema %d with %d samples in %v, zero up to %v; want 3, and %d samples of schema 3",
			below, h.GetSchema(), native, h.PositiveSpan, h.GetZeroThreshold(), h.GetSampleCount())
	}
}

// ledger is what the test itself did.
type ledger struct {
	created, deleted, delivered, confirmed, rolledBack int // since the beginning
	inHand, due, ahead                                 int // now; ahead are within the window and not due
}

func (l ledger) figures() map[string]int {
	tasks := l.created - l.deleted - l.confirmed
	return map[string]int{
		"namespace_tasks": tasks, "created_total": l.created, "deleted_total": l.deleted, "delivered_total": l.delivered,
		"confirmed_total": l.confirmed, "namespace_preloaded": l.due + l.ahead, "namespace_due": l.due, "unconfirmed": l.inHand,
		"in_hand": l.inHand, "rolled_back_total": l.rolledBack, "redelivered_total": 0, "stuck_handlers": 0, "namespace_in_flight": l.inHand,
	}
}

// agree waits until a scrape says what l says: figures of the namespace are a
// second old at most.
func (l ledger) agree(t *testing.T, when string, c prometheus.Collector) page {
	t.Helper()
	var wrong []string
	for end := time.Now().Add(10 * time.Second); ; {
		p := scrape(t, c)
		wrong = nil
		for name, want := range l.figures() {
			if got := p.value(name); got != float64(want) {
				wrong = append(wrong, fmt.Sprintf("%s is %v, the ledger says %d", name, got, want))
			}
		}
		if len(wrong) == 0 {
			return p
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %s", when, strings.Join(wrong, "; "))
		}
		<-time.After(100 * time.Millisecond)
	}
}

func onAll(t *testing.T, test func(t *testing.T, store durable.Store, set hotset.Set)) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("bolt+local/p%d", partitions), func(t *testing.T) {
			store, set := embedded(t, partitions)
			test(t, store, set)
		})
		t.Run(fmt.Sprintf("mysql97+redis7/p%d", partitions), func(t *testing.T) {
			store, set, _ := servers(t, testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis), partitions)
			test(t, store, set)
		})
	}
}

func create(t *testing.T, s *triggerhook.Scheduler, prefix string, n int, due time.Time) (ids []string) {
	t.Helper()
	var all []*triggerhook.Task
	for i := range n {
		ids = append(ids, fmt.Sprint(prefix, i))
		all = append(all, &triggerhook.Task{ID: ids[i], Due: due})
	}
	if err := s.Create(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	return ids
}

// The nine figures of the life cycle, and what is in hand, read off a scrape.
func TestTheFiguresAgreeWithALedger(t *testing.T) {
	onAll(t, func(t *testing.T, store durable.Store, set hotset.Set) {
		s := scheduler(t, store, set, triggerhook.Options{Drain: time.Millisecond})
		c := metrics.NewCollector(s)
		stop := run(t, s)
		var l ledger
		l.agree(t, "at the beginning", c)

		far := create(t, s, "far", 7, time.Now().Add(48*time.Hour))
		create(t, s, "near", 11, time.Now().Add(40*time.Second))
		create(t, s, "now", 20, time.Now().Add(-time.Millisecond))
		l = ledger{created: 38, due: 20, ahead: 11}
		l.agree(t, "created, no worker consumes", c)

		var hand []*triggerhook.Delivery
		for range 8 {
			d, err := s.Consume(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			hand = append(hand, d)
		}
		l.delivered, l.inHand, l.due = 8, 8, 12
		l.agree(t, "8 in hand", c)

		for _, d := range hand[:3] {
			if err := d.Confirm(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		hand[3].ConfirmAsync()
		if err := hand[4].Rollback(t.Context(), 30*time.Second); err != nil {
			t.Fatal(err)
		}
		l.confirmed, l.rolledBack, l.inHand, l.ahead = 4, 1, 3, 12
		l.agree(t, "4 confirmed, one put off", c)

		if err := s.Delete(t.Context(), far[0], far[1], "near3"); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), "absent"); !errors.Is(err, triggerhook.ErrNotFound) {
			t.Fatal(err)
		}
		l.deleted, l.ahead = 3, 11
		p := l.agree(t, "3 deleted", c)
		if got := p.value("preloaded_total"); got != 31 {
			t.Errorf("preloaded_total is %v, 31 tasks came in", got)
		}
		if got := p.value("lateness_seconds"); got != 8 {
			t.Errorf("lateness_seconds has %v samples, want 8", got)
		}
		bothForms(t, c)
		for _, d := range hand[5:] {
			if err := d.Confirm(t.Context()); err != nil {
				t.Error(err)
			}
		}
		stop()
	})
}

// Redeliveries, lost leases, rebuilds, audit finds, errors by kind.
func TestMishapsAreCounted(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprintf("mysql97+redis7/p%d", partitions), func(t *testing.T) {
			cache := testserver.Own(t, testserver.Redis)
			store, set, rdb := servers(t, testserver.Shared(t, testserver.MySQL), cache, partitions)
			s := scheduler(t, store, set, triggerhook.Options{Lease: time.Second, AuditGrace: time.Second, DeliveryTimeout: 2 * time.Second})
			c := metrics.NewCollector(s)
			stop := run(t, s)
			reaches := func(name string, least float64) {
				t.Helper()
				for end := time.Now().Add(30 * time.Second); ; <-time.After(50 * time.Millisecond) {
					got := scrape(t, c).value(name)
					if got >= least {
						return
					}
					if time.Now().After(end) {
						t.Fatalf("%s is %v, want at least %v", name, got, least)
					}
				}
			}
			reaches("rebuilds_total", float64(partitions))
			create(t, s, "a", 1, time.Now())
			d, err := s.Consume(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			reaches("timed_out_total", 1)
			again, err := s.Consume(t.Context())
			if err != nil || d.ID != again.ID {
				t.Fatal(again, err)
			}
			reaches("redelivered_total", 1)
			rdb.Del(t.Context(), keys(t, rdb, ":lease")...)
			reaches("leases_lost_total", 1)
			again.ConfirmAsync() // of a lease that is over
			d.ConfirmAsync()     // after its timeout: else the drain waits for an answer
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { // otherwise the oldest waits, and the auditor asks for no younger task
				for d := range s.Deliveries(ctx) {
					d.ConfirmAsync()
				}
			}()
			create(t, s, "b", 8, time.Now().Add(3*time.Second))
			if err := s.Flush(t.Context()); err != nil { // adds linger
				t.Fatal(err)
			}
			rdb.Del(t.Context(), append(keys(t, rdb, ":waiting"), keys(t, rdb, ":task")...)...)
			reaches("audit_finds_total", 8)
			rdb.FlushAll(t.Context())
			reaches("rebuilds_total", float64(2*partitions))
			cache.Kill()
			<-time.After(1100 * time.Millisecond) // for so long the figures of the namespace may be used again
			p := scrape(t, c)
			if p.value("created_total") != 9 || p.value("namespace_tasks") != -1 {
				t.Errorf("without Redis created_total is %v and namespace_tasks %v, want 9 and none", p.value("created_total"), p.value("namespace_tasks"))
			}
			for end := time.Now().Add(time.Minute); ; <-time.After(50 * time.Millisecond) {
				if f := scrape(t, c)["triggerhook_errors_total"]; f != nil && label(f, "kind", "unavailable") > 0 {
					break
				}
				if time.Now().After(end) {
					t.Fatal("an outage is not among the errors")
				}
			}
			if err := cache.Boot(t.Context()); err != nil {
				t.Fatal(err)
			}
			stop()
		})
	}
}

func keys(t *testing.T, rdb *redis.Client, suffix string) []string {
	t.Helper()
	all, err := rdb.Keys(t.Context(), "*"+suffix).Result()
	if err != nil || len(all) == 0 {
		t.Fatalf("keys that end in %s: %v, %v", suffix, all, err)
	}
	return all
}

func label(f *dto.MetricFamily, name, value string) float64 {
	for _, m := range f.Metric {
		for _, l := range m.Label {
			if l.GetName() == name && l.GetValue() == value {
				return m.Counter.GetValue()
			}
		}
	}
	return 0
}

// Two namespaces in one process are two series of each metric.
func TestTwoSchedulersShareARegistry(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	for _, ns := range []string{"mail", "push"} {
		store, err := bolt.Open(filepath.Join(t.TempDir(), "tasks"), bolt.Options{Namespace: ns})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		set, err := local.New(local.Options{Namespace: ns})
		if err != nil {
			t.Fatal(err)
		}
		if err := reg.Register(metrics.NewCollector(scheduler(t, store, set, triggerhook.Options{}))); err != nil {
			t.Errorf("register %s: %v", ns, err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.Metric = oneTime(f.Metric); len(f.Metric) != 2 || f.Metric[0].Label[0].GetName() != "namespace" {
			t.Errorf("%s has %d series with %v", f.GetName(), len(f.Metric), f.Metric[0].Label)
		}
	}
}

// Two Schedulers of one namespace, and one that is made anew, are series of their own.
func TestSchedulersOfANamespaceShareARegistry(t *testing.T) {
	store, set := embedded(t, 1)
	first, second := scheduler(t, store, set, triggerhook.Options{}), scheduler(t, store, set, triggerhook.Options{})
	reg := prometheus.NewPedanticRegistry()
	old := metrics.NewCollector(first)
	for _, c := range []*metrics.Collector{old, metrics.NewCollector(second), metrics.NewCollector(first)} {
		if err := reg.Register(c); err != nil {
			t.Errorf("register: %v", err)
		}
	}
	if err := reg.Register(old); err == nil {
		t.Error("one collector is registered twice")
	}
	series(t, reg, 3)
	if !reg.Unregister(old) {
		t.Error("a collector is not known to its registry")
	}
	series(t, reg, 2)
	if err := reg.Register(metrics.NewCollector(scheduler(t, store, set, triggerhook.Options{}))); err != nil {
		t.Errorf("register a Scheduler made anew: %v", err)
	}
	series(t, reg, 3)
}

// series wants n series of each metric, which differ in the label scheduler alone.
func series(t *testing.T, reg prometheus.Gatherer, n int) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil || len(families) < 20 {
		t.Fatalf("Gather answers %d metrics, %v", len(families), err)
	}
	for _, f := range families {
		f.Metric = oneTime(f.Metric)
		numbers := map[string]bool{}
		for _, m := range f.Metric {
			if len(m.Label) != 2 || m.Label[0].GetName() != "namespace" || m.Label[1].GetName() != "scheduler" {
				t.Errorf("%s has the labels %v", f.GetName(), m.Label)
				continue
			}
			numbers[m.Label[1].GetValue()] = true
		}
		if len(f.Metric) != n || len(numbers) != n {
			t.Errorf("%s has %d series of %d schedulers, want %d", f.GetName(), len(f.Metric), len(numbers), n)
		}
	}
}
