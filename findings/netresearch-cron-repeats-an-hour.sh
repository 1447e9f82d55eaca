#!/usr/bin/env bash
# github.com/netresearch/go-cron v0.9.1 with the time zones of Go 1.26 (time/tzdata): a run in the repeated hour happens twice, one at a
# midnight that does not exist never.
#
# Guess: what its README's table says: in an autumn night jobs of the hour that repeats "run once, during first occurrence"; a midnight that
#        does not exist is "automatically normalized to valid time", so a daily job of 0:00 runs on that day, at 1:00.
# Seen:  Next gives both occurrences of 1:30 in New York, an hour apart. In Beirut, where 29 March begins at 1:00, a daily job of 0:00 has no run on
#        that day: the next one after 28 March is on 30 March; and a weekly one of Sunday noon is left out for that Sunday, as with robfig/cron,
#        of which this is a fork.
#
# Output seen on 2026-11-29 (the script fails if any of these changes):
#   America/New_York "30 1 * * *" after Sun 1 Nov 01:30 -0400: Sun 1 Nov 01:30 -0500
#   Asia/Beirut      "0 0 * * *" after Sat 28 Mar 00:00 +0200: Mon 30 Mar 00:00 +0300
#   Asia/Beirut      "0 12 * * 0" after Sun 22 Mar 12:00 +0200: Sun 5 Apr 12:00 +0300
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

	cron "github.com/netresearch/go-cron"
)

func main() {
	status := 0
	for _, c := range []struct{ zone, expression, after, seen string }{
		{"America/New_York", "30 1 * * *", "2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00"},
		{"Asia/Beirut", "0 0 * * *", "2026-03-28T00:00:00+02:00", "2026-03-30T00:00:00+03:00"},
		{"Asia/Beirut", "0 12 * * 0", "2026-03-22T12:00:00+02:00", "2026-04-05T12:00:00+03:00"},
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			panic(err)
		}
		after, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			panic(err)
		}
		schedule, err := cron.ParseStandard(c.expression)
		if err != nil {
			panic(err)
		}
		after = after.In(loc)
		got := schedule.Next(after)
		fmt.Printf("%-16s %q after %s: %s\n", c.zone, c.expression, after.Format("Mon 2 Jan 15:04 -0700"), got.Format("Mon 2 Jan 15:04 -0700"))
		if got.Format(time.RFC3339) != c.seen {
			status = 1
		}
	}
	os.Exit(status)
}
GO
cat >go.mod <<'MOD'
module f

go 1.26

require github.com/netresearch/go-cron v0.9.1
MOD
go mod tidy >/dev/null 2>&1; go run .
