package hotset_test

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// scriptTime is what scripts have cost the server until now, in us.
func scriptTime(b *testing.B, rdb *redis.Client) float64 {
	b.Helper()
	m := regexp.MustCompile(`cmdstat_evalsha:calls=\d+,usec=(\d+)`).FindStringSubmatch(rdb.Info(b.Context(), "commandstats").Val())
	if m == nil {
		return 0
	}
	us, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return us
}

// Members go in, are claimed, and are removed, 1000 at a time, with ids of 36 bytes
// and payloads of 100. What each step costs the server itself is reported.
func BenchmarkLifeOfAMember(b *testing.B) {
	const lot = 1000
	rdb := client(b, testserver.Own(b, testserver.Redis).Addr)
	s := open(b, rdb, 1)
	f, err := s.Horizon(b.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 42, Limit: 1 << 40})
	if err != nil {
		b.Fatal(err)
	}
	entries, refs := many(lot), make([]task.Ref, lot)
	var n int64
	steps := []string{"feed", "claim", "remove"}
	acts := map[string]func(token string) error{
		"feed": func(string) error {
			for i := range entries {
				n++
				entries[i].Ver = n
				refs[i] = entries[i].Ref
			}
			asOf, err := s.Clock(b.Context(), 0)
			if err == nil {
				_, err = s.Feed(b.Context(), 0, task.FeedRequest{AsOf: asOf, Epoch: 1, Entries: entries, Loaded: f.Loaded})
			}
			return err
		},
		"claim": func(token string) error {
			got, err := s.Claim(b.Context(), 0, task.ClaimRequest{Token: token, Limit: lot, Lease: time.Minute})
			if err == nil && len(got.Claims) != lot {
				err = fmt.Errorf("%d claims", len(got.Claims))
			}
			return err
		},
		"remove": func(token string) error {
			_, err := s.Remove(b.Context(), 0, token, refs)
			return err
		},
	}
	for i := range entries {
		entries[i].NextMS = 1 << 41 // as long as these go in and out, others wait
	}
	for range 100 {
		if err := acts["feed"](""); err != nil {
			b.Fatal(err)
		}
	}
	for i := range entries {
		entries[i].NextMS = 1
	}
	us, took := map[string]float64{}, map[string]time.Duration{}
	b.ReportAllocs()
	for b.Loop() {
		for _, step := range steps {
			before, start := scriptTime(b, rdb), time.Now()
			if err := acts[step](fmt.Sprint("t", n)); err != nil {
				b.Fatalf("%s: %v", step, err)
			}
			took[step] += time.Since(start)
			us[step] += scriptTime(b, rdb) - before
		}
	}
	for _, step := range steps {
		b.ReportMetric(us[step]/float64(b.N*lot), step+"-server-us/task")
		b.ReportMetric(float64(b.N*lot)/took[step].Seconds(), step+"s/s")
	}
}
