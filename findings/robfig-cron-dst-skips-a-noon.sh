#!/usr/bin/env bash
# github.com/robfig/cron/v3 v3.0.1 with the time zones of Go 1.26 (time/tzdata): a change of the clocks loses a run at noon, and a whole day.
#
# Guess: a change of the clocks concerns runs in the hour that is left out, as the package's page says ("Jobs scheduled during
#        daylight-savings leap-ahead transitions will not be run"), and no other.
# Seen:  where the clocks go forward at midnight east of Greenwich (Beirut, Cairo), a weekly run on that day is left out at any hour, noon
#        too, and comes a week later. Where the clocks change by half an hour (Lord Howe Island), the run of the next midnight is left
#        out, and so is one at 3:00 of the day itself, in spring and in autumn. (The source looks for the day at its midnight: where time.Date makes
#        1:00 of one that does not exist, it goes an hour back, and so to the day before. It looks for the hour by adding
#        whole hours: after a change of 30 minutes it arrives at half past, which fits no minute 0.) A program that asks Next for
#        the next occurrence of a recurring task loses one, without an error.
#
# Output seen on 2026-11-29 (the script fails if any of these changes; right would be, in turn: 29 March 12:00, 24 April 1:30, 6 April 0:00,
# 5 April 3:00, 5 October 0:00):
#   Asia/Beirut         "0 12 * * 0" after Sun 22 Mar 12:00: Sun 5 Apr 12:00
#   Africa/Cairo        "30 1 * * 5" after Fri 17 Apr 01:30: Fri 1 May 01:30
#   Australia/Lord_Howe "0 0 * * *" after Sun 5 Apr 00:00: Tue 7 Apr 00:00
#   Australia/Lord_Howe "0 3 * * *" after Sat 4 Apr 03:00: Mon 6 Apr 03:00
#   Australia/Lord_Howe "0 0 * * *" after Sun 4 Oct 00:00: Tue 6 Oct 00:00
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

	"github.com/robfig/cron/v3"
)

func main() {
	status := 0
	for _, c := range []struct {
		zone, expression string
		after, seen      [4]int // month, day, hour, minute
	}{
		{"Asia/Beirut", "0 12 * * 0", [4]int{3, 22, 12, 0}, [4]int{4, 5, 12, 0}},
		{"Africa/Cairo", "30 1 * * 5", [4]int{4, 17, 1, 30}, [4]int{5, 1, 1, 30}},
		{"Australia/Lord_Howe", "0 0 * * *", [4]int{4, 5, 0, 0}, [4]int{4, 7, 0, 0}},
		{"Australia/Lord_Howe", "0 3 * * *", [4]int{4, 4, 3, 0}, [4]int{4, 6, 3, 0}},
		{"Australia/Lord_Howe", "0 0 * * *", [4]int{10, 4, 0, 0}, [4]int{10, 6, 0, 0}},
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			panic(err)
		}
		at := func(t [4]int) time.Time { return time.Date(2026, time.Month(t[0]), t[1], t[2], t[3], 0, 0, loc) }
		schedule, err := cron.ParseStandard(c.expression)
		if err != nil {
			panic(err)
		}
		got := schedule.Next(at(c.after))
		fmt.Printf("%-19s %q after %s: %s\n", c.zone, c.expression, at(c.after).Format("Mon 2 Jan 15:04"), got.Format("Mon 2 Jan 15:04"))
		if !got.Equal(at(c.seen)) {
			status = 1
		}
	}
	os.Exit(status)
}
GO
cat >go.mod <<'MOD'
module f

go 1.26

require github.com/robfig/cron/v3 v3.0.1
MOD
go mod tidy >/dev/null 2>&1; go run .
