package triggerhook_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// Both go to MySQL 9.7, which flushes each commit, and to Redis 7, from 256
// goroutines, one task a call.
func BenchmarkCreate(b *testing.B) {
	benchmark(b, func(s *triggerhook.Scheduler, t *triggerhook.Task) error { return s.Create(b.Context(), t) }, nil)
}

func BenchmarkDelete(b *testing.B) {
	benchmark(b, func(s *triggerhook.Scheduler, t *triggerhook.Task) error { return s.Delete(b.Context(), t.ID) },
		func(s *triggerhook.Scheduler, all []*triggerhook.Task) error { return s.Create(b.Context(), all...) })
}

func benchmark(b *testing.B, act func(*triggerhook.Scheduler, *triggerhook.Task) error, before func(*triggerhook.Scheduler, []*triggerhook.Task) error) {
	for name, ahead := range map[string]time.Duration{"beyond": time.Hour, "within": 40 * time.Second} {
		b.Run(name, func(b *testing.B) {
			s := servers(b, testserver.Shared(b, testserver.MySQL), testserver.Shared(b, testserver.Redis), 1)
			sch := s.scheduler(b, triggerhook.Options{})
			run(b, sch)
			until(b, "the horizon stands", 10*time.Second, func() bool {
				st, err := s.set.State(b.Context(), 0)
				return err == nil && st.Loaded.NextMS > time.Now().UnixMilli()
			})
			all := tasks(b.N, func(int) time.Time { return time.Now().Add(ahead) })
			for i := 0; before != nil && i < len(all); i += 1000 {
				if err := before(sch, all[i:min(i+1000, len(all))]); err != nil {
					b.Fatal(err)
				}
			}
			var next atomic.Int64
			b.SetParallelism(128)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := act(sch, all[next.Add(1)-1]); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}

// From the first Consume of overdue tasks to the last, by one consumer, and on to
// the last row deleted: "rows" begins with an empty hot set, and with Run.
func BenchmarkConsume(b *testing.B) {
	for _, from := range []string{"rows", "hotset"} {
		b.Run(from, func(b *testing.B) {
			s := servers(b, testserver.Shared(b, testserver.MySQL), testserver.Shared(b, testserver.Redis), 1)
			sch := s.scheduler(b, triggerhook.Options{})
			all := tasks(b.N, func(i int) time.Time { return time.Now().Add(-time.Hour) })
			for i := 0; i < len(all); i += 1000 {
				if err := sch.Create(b.Context(), all[i:min(i+1000, len(all))]...); err != nil {
					b.Fatal(err)
				}
			}
			if from == "hotset" {
				run(b, sch)
				until(b, "all are preloaded", time.Minute, func() bool {
					st, err := s.set.State(b.Context(), 0)
					return err == nil && st.Waiting == int64(b.N)
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			start := time.Now()
			if from == "rows" {
				run(b, sch)
			}
			for range b.N {
				d, err := sch.Consume(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				d.ConfirmAsync()
			}
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "sent/s")
			until(b, "all are confirmed", time.Minute, func() bool {
				st, err := sch.Stats(b.Context())
				return err == nil && st.Process.Confirmed == uint64(b.N)
			})
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "confirmed/s")
		})
	}
}
