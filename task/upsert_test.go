package task

import "testing"

func TestNumbersOfUpsertHaveNames(t *testing.T) {
	for got, want := range map[string]string{
		Keep.String(): "keep", Replace.String(): "replace", Earliest.String(): "earliest", Debounce.String(): "debounce",
		OnConflict(0).String(): "OnConflict(0)", (Debounce + 1).String(): "OnConflict(5)",
		Created.String(): "created", Kept.String(): "kept", Replaced.String(): "replaced",
		UpsertOutcome(0).String(): "UpsertOutcome(0)", (Replaced + 1).String(): "UpsertOutcome(4)",
	} {
		if got != want {
			t.Errorf("name %q, want %q", got, want)
		}
	}
}
