#!/usr/bin/env bash
# github.com/adhocore/gronx v1.20.4 with the time zones of Go 1.26 (time/tzdata): NextTickAfter returns the very time that it was asked about.
#
# Guess: NextTickAfter(expression, t, false) is later than t ("gives next run time from the provided time.Time", without t itself), and an
#        hourly expression is due each hour.
# Seen:  1. Where the clocks go forward at midnight (Santiago, Havana), the next occurrence of a weekly or monthly expression in the weeks
#           before is t itself, without an error. A program that creates the next occurrence of a recurring task from the last one
#           stays at that one for good.
#        2. When the clocks go back, one of the two equal hours is left out: two hours pass between two runs of an hourly expression. In
#           New York it is the second of them, in Berlin the first.
#
# Output seen on 2026-11-29 (the script fails if any of these changes):
#   America/Santiago "0 12 * * 0" after Sun 30 Aug 12:00 -0400: Sun 30 Aug 12:00 -0400, 0s later
#   America/Havana   "0 0 1 * *" after Sun 1 Mar 00:00 -0500: Sun 1 Mar 00:00 -0500, 0s later
#   America/New_York "0 * * * *" after Sun 1 Nov 01:00 -0400: Sun 1 Nov 02:00 -0500, 2h0m0s later
#   Europe/Berlin    "0 * * * *" after Sun 25 Oct 01:00 +0200: Sun 25 Oct 02:00 +0100, 2h0m0s later
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
cd "$tmp"; export GOFLAGS=-mod=mod GOWORK=off ZONEINFO=/nonexistent
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"time"
	_ "time/tzdata"

	"github.com/adhocore/gronx"
)

func main() {
	status := 0
	for _, c := range []struct {
		zone, expression, after string
		seen                    time.Duration
	}{
		{"America/Santiago", "0 12 * * 0", "2026-08-30T12:00:00-04:00", 0},
		{"America/Havana", "0 0 1 * *", "2026-03-01T00:00:00-05:00", 0},
		{"America/New_York", "0 * * * *", "2026-11-01T01:00:00-04:00", 2 * time.Hour},
		{"Europe/Berlin", "0 * * * *", "2026-10-25T01:00:00+02:00", 2 * time.Hour},
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			panic(err)
		}
		after, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			panic(err)
		}
		after = after.In(loc)
		got, err := gronx.NextTickAfter(c.expression, after, false)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%-16s %q after %s: %s, %s later\n", c.zone, c.expression, after.Format("Mon 2 Jan 15:04 -0700"), got.Format("Mon 2 Jan 15:04 -0700"), got.Sub(after))
		if got.Sub(after) != c.seen {
			status = 1
		}
	}
	os.Exit(status)
}
GO
cat >go.mod <<'MOD'
module f

go 1.26

require github.com/adhocore/gronx v1.20.4
MOD
go mod tidy >/dev/null 2>&1; go run .
