package history

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A fault costs the longest silence of a partition that it hits, from its beginning on.
func TestAnOutageIsTheLongestSilenceOfItsPartitions(t *testing.T) {
	line := func(at int, text string) string { return fmt.Sprintf(`{"at":%d,"who":"w",%s}`, at*1_000_000, text) }
	deliver := func(at int, id string) string { return line(at, `"op":"deliver","id":"`+id+`"`) }
	text := strings.Join([]string{
		deliver(1, "a"), deliver(9, "a"), // before it
		line(10, `"op":"fault","call":1,"kind":"k","variant":"v"`),
		deliver(11, "a"), deliver(11, "b"), deliver(16, "a"), deliver(12, "b"), deliver(30, "b"),
		line(15, `"op":"fault","call":1,"kind":"k","variant":"v","end":true,"engine_us":3000000,"client_us":4000000,"partitions":[1]`),
		line(15, `"op":"fault","call":2,"kind":"all"`), deliver(17, "a"), deliver(31, "a"), deliver(50, "a"),
		line(18, `"op":"fault","call":2,"kind":"all","end":true,"engine_us":1`),
		line(19, `"op":"fault","call":3,"kind":"unmeasured"`), line(20, `"op":"fault","call":3,"kind":"unmeasured","end":true`),
	}, "\n")
	got, err := Outages(strings.NewReader(text), func(id string) int {
		if id == "a" {
			return 1
		}
		return 2
	})
	want := []Outage{{"k", "v", 3 * time.Second, 4 * time.Second, 5 * time.Second}, {"all", "", time.Microsecond, 0, 15 * time.Second}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := Outages(strings.NewReader("nonsense"), nil); err == nil {
		t.Error("nonsense is a history")
	}
}
