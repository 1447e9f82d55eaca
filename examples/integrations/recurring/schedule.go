package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/adhocore/gronx"
	"github.com/robfig/cron/v3"
)

// Schedule returns the first occurrence after a time. An error means that there is none.
type Schedule func(after time.Time) (time.Time, error)

// Robfig reads an expression of five fields, as robfig/cron does.
func Robfig(expression string) (Schedule, error) {
	s, err := cron.ParseStandard(expression)
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", expression, err)
	}
	return func(after time.Time) (time.Time, error) { return s.Next(after), nil }, nil
}

// Gronx reads an expression of five fields, or of six with seconds first, as adhocore/gronx does.
func Gronx(expression string) (Schedule, error) {
	if !gronx.IsValid(expression) {
		return nil, fmt.Errorf("expression %q is none that gronx knows", expression)
	}
	return func(after time.Time) (time.Time, error) { return gronx.NextTickAfter(expression, after, false) }, nil
}

// Every is a schedule of a fixed period. Its occurrences are multiples of the period since the year 1.
func Every(period time.Duration) Schedule {
	return func(after time.Time) (time.Time, error) { return after.Truncate(period).Add(period), nil }
}

// errNoNext: a schedule has no occurrence after a time, or the library behind it does not find it.
var errNoNext = errors.New("the schedule answers no later time")

// in makes a schedule safe, and has it follow the clocks of a zone. The schedule itself never meets a change of the
// clocks, because it is asked in UTC about what a clock on the wall shows: robfig/cron and gronx leave out runs where the
// clocks change, and gronx may answer the very time that it was asked about.
//
// So an occurrence in an hour that is left out in spring is moved by the change of the clocks, and one in an hour that
// comes twice in autumn runs once. Each occurrence lies after the one before.
func in(zone *time.Location, s Schedule) Schedule {
	return func(after time.Time) (time.Time, error) {
		wall := onTheWall(after.In(zone))
		for range 100 {
			next, err := s(wall)
			if err != nil {
				return time.Time{}, err
			}
			if !next.After(wall) { // also the zero time, by which robfig/cron says that there is none
				break
			}
			wall = next
			if at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, zone); at.After(after) {
				return at.UTC(), nil
			}
		}
		return time.Time{}, fmt.Errorf("%w than %s", errNoNext, after)
	}
}

// onTheWall returns the time in UTC at which a clock shows what t shows in its own zone.
func onTheWall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}
