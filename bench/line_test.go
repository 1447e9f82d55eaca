package main

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	thousand := make([]time.Duration, 1000)
	for i := range thousand {
		thousand[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		of   []time.Duration
		q    float64
		want time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.5, 7},
		{[]time.Duration{7}, 1, 7},
		{[]time.Duration{1, 2}, 0.5, 1},
		{[]time.Duration{1, 2, 3}, 0.5, 2},
		{thousand, 0.5, 500},
		{thousand, 0.99, 990},
		{thousand, 0.999, 999},
		{thousand, 1, 1000},
		{thousand, 0, 1},
		{thousand[:10], 0.99, 10},
	} {
		if got := quantile(c.of, c.q); got != c.want {
			t.Errorf("the %g quantile of %d values is %d, want %d", c.q, len(c.of), got, c.want)
		}
	}
}

func TestALineHasAllKeys(t *testing.T) {
	var l line
	l.spread([]time.Duration{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond}, true)
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(text, &keys); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"scenario", "system", "n", "workers", "payload", "rtt_ms", "rate_per_s", "p50_ms", "p99_ms", "p999_ms", "max_ms", "cpu_s",
		"alloc_bytes_per_task", "redis_cmds_per_task", "redis_us_per_task", "mysql_stmts_per_task", "rss_mb", "versions", "cores"} {
		if _, ok := keys[k]; !ok {
			t.Errorf("key %q is missing in %s", k, text)
		}
	}
	if keys["redis_us_per_task"] != nil {
		t.Errorf("redis_us_per_task is %v where there is no Redis, want null", keys["redis_us_per_task"])
	}
	if keys["p50_ms"] != 2.0 || keys["max_ms"] != 3.0 || keys["first_ms"] != 1.0 {
		t.Errorf("p50, max, first are %v, %v, %v; want 2, 3, 1", keys["p50_ms"], keys["max_ms"], keys["first_ms"])
	}
}

func TestTenthsTellTheRateOfTheirOwnPart(t *testing.T) {
	var since []time.Duration
	for i := range 100 { // ten tasks a second, and twice as many in the second half
		since = append(since, time.Duration(min(i, 50))*100*time.Millisecond+time.Duration(max(0, i-50))*50*time.Millisecond)
	}
	p := tenths(since, []point{{AtS: 1, RedisMB: 5, Purge: 1}, {AtS: 2, RedisMB: 3, Purge: 2}, {AtS: 100, RedisMB: 9}})
	if len(p) != 10 || p[9].Done != 100 {
		t.Fatalf("%d points, the last %+v; want 10, and 100 done", len(p), p[len(p)-1])
	}
	if math.Abs(p[2].RatePerS-10) > 0.01 || math.Abs(p[9].RatePerS-20) > 0.01 {
		t.Errorf("rates are %g and %g, want 10 and 20", p[2].RatePerS, p[9].RatePerS)
	}
	if p[9].RedisMB != 5 || p[9].Purge != 2 {
		t.Errorf("Redis had at most %g MB and %g to purge, want 5 and 2", p[9].RedisMB, p[9].Purge)
	}
}
