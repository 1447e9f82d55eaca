#!/usr/bin/env bash
# github.com/teambition/rrule-go v1.8.2 with the time zones of Go 1.26 (time/tzdata): where the clocks change, an hourly rule gives one
# instant twice and leaves another one out, and a daily rule comes an hour early.
#
# Guess: the occurrences of a rule are distinct instants in ascending order, and an hourly rule has one each hour. A time that does not
#        exist is read with the UTC offset before the gap, as RFC 5545 says (3.3.5, form 3): 2:30 on the day of the gap is 3:30 summer time.
# Seen:  the rule counts on the wall clock and makes each time with time.Date, which takes the offset after the gap. In New York on 8 March
#        2026 an hourly rule gives 6:00 UTC twice. (Who makes one task an occurrence, with the instant as its ID, gets a conflict; who
#        counts occurrences, a run too many.) On 1 November it goes from 5:00 UTC to 7:00 UTC. A daily rule at 2:30 comes at 1:30
#        on 8 March, where RFC 5545 says 3:30.
#
# Output seen on 2026-11-29 (the script fails if any of these changes):
#   hourly, 8 March:     05:00, 06:00, 06:00, 07:00 (UTC)
#   hourly, 1 November:  04:00, 05:00, 07:00, 08:00 (UTC)
#   daily at 2:30:       7 Mar 02:30 EST, 8 Mar 01:30 EST, 9 Mar 02:30 EDT
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
cd "$tmp"; export GOFLAGS=-mod=mod GOWORK=off ZONEINFO=/nonexistent
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"
	"time"
	_ "time/tzdata"

	"github.com/teambition/rrule-go"
)

func main() {
	newYork, err := time.LoadLocation("America/New_York")
	must(err)
	status := 0
	for _, c := range []struct {
		name   string
		freq   rrule.Frequency
		start  time.Time
		utc    bool
		layout string
		seen   string
	}{
		{"hourly, 8 March", rrule.HOURLY, time.Date(2026, 3, 8, 0, 0, 0, 0, newYork), true, "15:04", "05:00, 06:00, 06:00, 07:00"},
		{"hourly, 1 November", rrule.HOURLY, time.Date(2026, 11, 1, 0, 0, 0, 0, newYork), true, "15:04", "04:00, 05:00, 07:00, 08:00"},
		{"daily at 2:30", rrule.DAILY, time.Date(2026, 3, 7, 2, 30, 0, 0, newYork), false, "2 Jan 15:04 MST", "7 Mar 02:30 EST, 8 Mar 01:30 EST, 9 Mar 02:30 EDT, 10 Mar 02:30 EDT"},
	} {
		rule, err := rrule.NewRRule(rrule.ROption{Freq: c.freq, Count: 4, Dtstart: c.start})
		must(err)
		var all []string
		for _, t := range rule.All() {
			if c.utc {
				t = t.UTC()
			}
			all = append(all, t.Format(c.layout))
		}
		got := strings.Join(all, ", ")
		fmt.Printf("%-19s %s\n", c.name+":", got)
		if got != c.seen {
			status = 1
		}
	}
	os.Exit(status)
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
GO
{ go mod init findings; go mod edit -go=1.25.0; go get github.com/teambition/rrule-go@v1.8.2; } >log 2>&1 || { cat log; exit 1; }
go run . && echo "as described" || { echo "NOT as described"; exit 1; }
