package triggerhook_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// commands is how many commands Redis has processed, those inside scripts too.
func commands(t *testing.T, s stores) int {
	t.Helper()
	info, err := s.redis.Info(t.Context(), "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "total_commands_processed:")
	n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func queries(t *testing.T, s stores) int {
	t.Helper()
	var name string
	var n int
	if err := s.db.QueryRow("SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Five workers with nothing to do, and then with tasks that wait, leave both
// servers alone: fewer than 20 commands/s and 5 queries/s, in all.
func TestIdleWorkersCostLittle(t *testing.T) {
	s := servers(t, testserver.Own(t, testserver.MySQL), testserver.Own(t, testserver.Redis), 1)
	var all []*triggerhook.Scheduler
	for range 5 {
		sch := s.scheduler(t, triggerhook.Options{})
		all = append(all, sch)
		run(t, sch)
		go func() { _, _ = sch.Consume(t.Context()) }()
	}
	for _, n := range []int{0, 5000} {
		if n > 0 {
			due := time.Now().Add(50 * time.Second)
			if err := all[0].Create(t.Context(), tasks(n, func(int) time.Time { return due })...); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(fmt.Sprintf("mysql97+redis7/%d", n), func(t *testing.T) {
			sleep(t, 5*time.Second)
			var before uint64
			for _, sch := range all {
				st, err := sch.Stats(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				before += st.Process.Scanned
			}
			c, q := commands(t, s), queries(t, s)
			sleep(t, 10*time.Second)
			c, q = commands(t, s)-c, queries(t, s)-q
			var after uint64
			for _, sch := range all {
				st, err := sch.Stats(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				after += st.Process.Scanned
			}
			t.Logf("in 10 s: %d Redis commands, %d MySQL queries, %d rows read", c, q, after-before)
			if c >= 200 || q >= 50 || after-before > 160 {
				t.Errorf("in 10 s: %d Redis commands, %d MySQL queries, %d rows read; want fewer than 200, 50 and 160", c, q, after-before)
			}
		})
	}
}
