package task_test

import (
	"errors"
	"testing"

	"github.com/triggerhook/triggerhook/task"
)

func TestALeaseIsReadAsItWasWritten(t *testing.T) {
	for text, want := range map[string]task.Lease{
		"1000":                  {EffectiveMS: 1000, AnnouncedMS: 1000},
		"1000 2000":             {EffectiveMS: 1000, AnnouncedMS: 2000},
		"1 9223372036854775807": {EffectiveMS: 1, AnnouncedMS: 1<<63 - 1},
		"":                      {}, "x": {}, "0": {}, "-1": {}, "1000 ": {}, " 1000": {}, "2000 1000": {}, "0 1000": {}, "1 2 3": {}, "9223372036854775808": {},
	} {
		var got task.Lease
		err := got.UnmarshalText([]byte(text))
		if want == (task.Lease{}) {
			if !errors.Is(err, task.ErrMismatch) || got != want {
				t.Errorf("%q was read as %+v, %v; want ErrMismatch", text, got, err)
			}
			continue
		}
		if again, e := got.MarshalText(); got != want || err != nil || string(again) != text || e != nil {
			t.Errorf("%q was read as %+v, %v, and written as %q; want %+v", text, got, err, again, want)
		}
	}
}
