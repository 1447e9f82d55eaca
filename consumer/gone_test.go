package consumer_test

import (
	"testing"
	"testing/synctest"

	"github.com/triggerhook/triggerhook/consumer"
)

// Nobody waits for the answer of an asynchronous confirm, so the log has it where the row was
// gone before: once, at Info, with ID and attempt. A confirm that counted logs nothing.
func TestAnAsynchronousConfirmThatCameTooLateIsLogged(t *testing.T) {
	o, log := logged(consumer.Options{})
	bubble(t, o, func(k *kit) {
		k.add(2, false)
		k.run()
		gone, done := k.consume(), k.consume()
		k.deleteRow(gone) // as a Delete does, or another worker's Confirm
		id := gone.ID
		gone.ConfirmAsync()
		done.ConfirmAsync()
		k.stop()
		synctest.Wait()
		if found := log.with("level=INFO", "confirm came too late", "id="+id+" ", "attempt=1"); len(found) != 1 {
			k.Errorf("%d lines tell of the confirm of %s that came too late, want 1 in\n%s", len(found), id, log.b.String())
		}
		if found := log.with("came too late"); len(found) != 1 {
			k.Errorf("%d confirms came too late by the log, want 1 of 2: %q", len(found), found)
		}
		if found := log.with("level=WARN"); len(found) != 0 {
			k.Errorf("it counts as an error: %q", found)
		}
		if f := k.c.Figures(); f.Confirmed != 1 {
			k.Errorf("%d tasks count as confirmed, want 1", f.Confirmed)
		}
	})
}
