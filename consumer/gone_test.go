package consumer_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/internal/report"
)

// No caller waits for the outcome of an asynchronous confirm, so the log has it if the row was
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

// slowLog is a log that takes a second for each line.
type slowLog struct {
	slog.Handler
	lines atomic.Int32 // that it has written
}

func (l *slowLog) Handle(context.Context, slog.Record) error {
	<-time.After(time.Second)
	l.lines.Add(1)
	return nil
}

// A program may close its log once Run has returned, so Run ends last: after the line of a confirm
// that came too late, however long the log takes for it.
func TestRunReturnsAfterTheLastLineOfItsLog(t *testing.T) {
	log := &slowLog{Handler: slog.NewTextHandler(t.Output(), nil)} // which is asked for its level alone
	bubble(t, consumer.Options{Report: &report.Reporter{Logger: slog.New(log)}}, func(k *kit) {
		k.add(1, false)
		k.run()
		d := k.consume()
		k.deleteRow(d)
		d.ConfirmAsync()
		k.stop()
		if n := log.lines.Load(); n != 1 {
			k.Errorf("Run has returned, and %d lines are in the log, want the 1 of the confirm that came too late", n)
		}
	})
}
