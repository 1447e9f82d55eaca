package main

import (
	"errors"
	"testing"
	"time"
	_ "time/tzdata"
)

func parse(t *testing.T, zone, text string) time.Time {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", text, location)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Each case is one in which robfig/cron or gronx, asked in the zone, leaves out an occurrence or stays where it is.
func TestClocksThatChangeLoseNoOccurrence(t *testing.T) {
	for _, c := range []struct{ zone, expression, after, next string }{
		{"Asia/Beirut", "0 12 * * 0", "2026-03-22 12:00", "2026-03-29 12:00"},
		{"Africa/Cairo", "30 1 * * 5", "2026-04-17 01:30", "2026-04-24 01:30"},
		{"Australia/Lord_Howe", "0 0 * * *", "2026-04-05 00:00", "2026-04-06 00:00"},
		{"Australia/Lord_Howe", "0 3 * * *", "2026-04-04 03:00", "2026-04-05 03:00"},
		{"Australia/Lord_Howe", "0 0 * * *", "2026-10-04 00:00", "2026-10-05 00:00"},
		{"America/Santiago", "0 12 * * 0", "2026-08-30 12:00", "2026-09-06 12:00"},
		{"America/Havana", "0 0 1 * *", "2026-03-01 00:00", "2026-04-01 00:00"},
		{"America/New_York", "30 1 * * *", "2026-11-01 01:30", "2026-11-02 01:30"},
		{"Europe/Berlin", "30 2 * * *", "2026-03-28 02:30", "2026-03-29 03:30"}, // which the clocks leave out
		{"UTC", "0 0 29 2 *", "2026-02-28 00:00", "2028-02-29 00:00"},
	} {
		after, want := parse(t, c.zone, c.after), parse(t, c.zone, c.next)
		for name, read := range map[string]func(string) (Schedule, error){"robfig": Robfig, "gronx": Gronx} {
			s, err := read(c.expression)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := in(after.Location(), s)(after); err != nil || !got.Equal(want) {
				t.Errorf("%s, %s %q after %s: %v, %v; want %v", name, c.zone, c.expression, c.after, got.In(after.Location()), err, want)
			}
		}
	}
}

// A whole year of each zone: no daily run is lost, and none comes twice.
func TestAYearHasADailyRunForEachDay(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Beirut", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo"} {
		for _, expression := range []string{"0 0 * * *", "30 1 * * *", "30 2 * * *", "0 12 * * *"} {
			for name, read := range map[string]func(string) (Schedule, error){"robfig": Robfig, "gronx": Gronx} {
				s, err := read(expression)
				if err != nil {
					t.Fatal(err)
				}
				at := parse(t, zone, "2025-12-31 23:00")
				end := parse(t, zone, "2026-12-31 23:00")
				n := 0
				for {
					next, err := in(at.Location(), s)(at)
					if err != nil || !next.After(at) {
						t.Fatalf("%s, %s %q after %s: %v, %v", name, zone, expression, at, next, err)
					}
					if at = next.In(at.Location()); at.After(end) {
						break
					}
					n++
				}
				if n != 365 {
					t.Errorf("%s, %s %q: %d runs in a year, want 365", name, zone, expression, n)
				}
			}
		}
	}
}

func TestAScheduleThatDoesNotMoveIsAnError(t *testing.T) {
	now := time.Now()
	for name, s := range map[string]Schedule{
		"its reference": func(after time.Time) (time.Time, error) { return after, nil },
		"no time":       func(time.Time) (time.Time, error) { return time.Time{}, nil },
		"backwards":     func(after time.Time) (time.Time, error) { return after.Add(-time.Hour), nil },
	} {
		if got, err := in(time.UTC, s)(now); !errors.Is(err, errNoNext) {
			t.Errorf("%s: %v, %v; want errNoNext", name, got, err)
		}
	}
	for _, read := range []func(string) (Schedule, error){Robfig, Gronx} {
		if _, err := read("61 * * * *"); err == nil {
			t.Error("minute 61 was read without an error")
		}
	}
}

func TestAnIDNamesItsOccurrence(t *testing.T) {
	j := Job{Name: "report"}
	at := time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)
	if id := j.id(at); id != "report@2026-03-29T01:30:00Z" {
		t.Errorf("the id is %q", id)
	}
	if got, err := j.occurrence(j.id(at)); err != nil || !got.Equal(at) {
		t.Errorf("the id was read as %v, %v", got, err)
	}
	for _, id := range []string{"", "report", "report@", "report@soon", "other@2026-03-29T01:30:00Z"} {
		if got, err := j.occurrence(id); err == nil {
			t.Errorf("%q was read as %v without an error", id, got)
		}
	}
}
