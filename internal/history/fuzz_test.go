package history

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// Whatever a file holds: it is read and judged, or refused, never a panic; and a
// line that was written is read as it was.
func FuzzRead(f *testing.F) {
	f.Fuzz(func(t *testing.T, text, id string, at int64) {
		h, err := Read(strings.NewReader(text))
		if err == nil {
			_ = h.Check(Limits{})
		}
		if _, storyErr := Story(strings.NewReader(text), id); (storyErr == nil) != (err == nil) {
			t.Errorf("Read: %v, Story: %v", err, storyErr)
		}
		e := Event{At: at, Who: "a", Op: Create, ID: strings.ToValidUTF8(id, "?"), Result: OK, End: true}
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var got []Event
		torn := 0
		for _, in := range [][]byte{line, line[:len(line)-1]} { // the second was cut short by a kill
			if err := lines(bytes.NewReader(in), func(e Event, _ []byte) { got = append(got, e) }, func() { torn++ }); err != nil {
				t.Errorf("%q: %v", in, err)
			}
		}
		if len(got) != 1 || torn != 1 || !reflect.DeepEqual(got[0], e) {
			t.Errorf("%q was read as %+v, %d torn", line, got, torn)
		}
	})
}
