package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/triggerhook/triggerhook"
)

// exportedJSON is a task, or a dead letter, in the output of export. The payload is always in base64, so that each line has the same form.
type exportedJSON struct {
	ID            string            `json:"id"`
	Due           time.Time         `json:"due"`
	Expires       *time.Time        `json:"expires,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
	PayloadBase64 []byte            `json:"payload_base64,omitempty"`
	Created       time.Time         `json:"created"`
	Next          *time.Time        `json:"next,omitempty"` // when it is next offered, if a retry has moved it
	Attempts      int               `json:"attempts,omitempty"`
	Reason        string            `json:"reason,omitempty"` // of a dead letter, as the fields below
	LastError     string            `json:"last_error,omitempty"`
	Died          *time.Time        `json:"died,omitempty"`
}

func (a *app) export() *cobra.Command {
	var dead bool
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write all tasks, or all dead letters, as NDJSON",
		Long: `export writes all tasks to standard output in the order of their times, one JSON object a line, with headers and payload (in base64). "triggerhook
import" takes them. It tells its progress on standard error.

It reads page by page, beside workers and producers: what is created, moved or done meanwhile may be missing, or come twice. For an exact copy
"pause --producers" first, and wait until "stats" shows nothing in flight.`,
		Example: "  triggerhook export > tasks.ndjson\n  triggerhook export --dead | gzip > dead.ndjson.gz",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				to := newExporter(p)
				if dead {
					return errors.Join(to.dead(ctx, o.Scheduler), to.end())
				}
				return errors.Join(to.tasks(ctx, o.Scheduler), to.end())
			})
		},
	}
	cmd.Flags().BoolVar(&dead, "dead", false, "dead letters, in the order in which they died, in place of tasks")
	return cmd
}

// exporter writes lines, and tells its progress about once a second.
type exporter struct {
	out      *bufio.Writer
	progress progress
}

func newExporter(p *printer) *exporter {
	return &exporter{out: bufio.NewWriter(p.out), progress: newProgress(p.errs, "written")}
}

// end writes what is left, and how many lines there were.
func (e *exporter) end() error { return errors.Join(e.out.Flush(), e.progress.end()) }

func (e *exporter) line(j exportedJSON) error {
	if err := json.NewEncoder(e.out).Encode(j); err != nil {
		return err
	}
	return e.progress.add(1)
}

// tasks writes the tasks.
func (e *exporter) tasks(ctx context.Context, s *triggerhook.Scheduler) error {
	for i, err := range s.List(ctx, triggerhook.Filter{}) {
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		j := exportedJSON{ID: i.ID, Due: i.Due.UTC(), Expires: instant(i.Expires), Headers: i.Headers, PayloadBase64: i.Payload, Created: i.Created.UTC(), Attempts: i.Attempt - 1}
		if !i.Next.Equal(i.Due) {
			j.Next = instant(i.Next)
		}
		if err := e.line(j); err != nil {
			return err
		}
	}
	return nil
}

// dead writes the dead letters.
func (e *exporter) dead(ctx context.Context, s *triggerhook.Scheduler) error {
	for d, err := range s.ListDead(ctx, triggerhook.DeadFilter{}) {
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		if err := e.line(exportedJSON{ID: d.ID, Due: d.Due.UTC(), Expires: instant(d.Expires), Headers: d.Headers, PayloadBase64: d.Payload,
			Created: d.Created.UTC(), Attempts: d.Attempts, Reason: d.Reason, LastError: d.LastError, Died: instant(d.Died)}); err != nil {
			return err
		}
	}
	return nil
}

// progress tells on standard error how far a long command has come, about once a second, and at its end.
type progress struct {
	to   io.Writer
	what string
	n    int
	last time.Time
}

func newProgress(to io.Writer, what string) progress {
	return progress{to: to, what: what, last: time.Now()}
}

func (p *progress) add(n int) error {
	if p.n += n; time.Since(p.last) < time.Second {
		return nil
	}
	p.last = time.Now()
	_, err := fmt.Fprintf(p.to, "triggerhook: %d %s so far\n", p.n, p.what)
	return err
}

func (p *progress) end() error {
	_, err := fmt.Fprintf(p.to, "triggerhook: %d %s\n", p.n, p.what)
	return err
}
