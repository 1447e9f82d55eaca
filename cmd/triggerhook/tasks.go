package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/triggerhook/triggerhook"
)

// createFlags are the flags of create.
type createFlags struct {
	due, expires instantFlag
	payload      payloadFlags
	keys         []string
	onConflict   string
	from         string
}

func (f *createFlags) register(cmd *cobra.Command) {
	f.payload.register(cmd)
	cmd.Flags().Var(&f.due, "due", "when it is due")
	cmd.Flags().Var(&f.expires, "expires", "after this time it is not delivered any more, and becomes a dead letter")
	cmd.Flags().StringArrayVar(&f.keys, "header", nil, "header as KEY=VALUE; may be repeated")
	cmd.Flags().StringVar(&f.onConflict, "on-conflict", "fail", "if a task of that ID exists: fail, keep, replace, earliest, debounce")
	cmd.Flags().StringVar(&f.from, "from", "", "file of NDJSON with tasks; - is standard input")
}

// check refuses arguments that name no task, or more than one.
func (f *createFlags) check(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) > 1:
		return usageError{fmt.Errorf("create takes one ID; got %d arguments", len(args))}
	case len(args) == 1 && args[0] == "":
		return usageError{errors.New("the ID is empty; leave it out to have one made")}
	case f.from != "" && (len(args) > 0 || f.payload.given(cmd) || !f.due.IsZero() || !f.expires.IsZero() || len(f.keys) > 0):
		return usageError{errors.New("--from has all of the tasks: leave out ID, --due, --expires, --header and --payload")}
	case f.from == "" && f.due.IsZero():
		return usageError{errors.New("no due time: give --due")}
	}
	return nil
}

// task is the task that the flags and arguments describe.
func (f *createFlags) task(cmd *cobra.Command, args []string) (t *triggerhook.Task, err error) {
	t = &triggerhook.Task{Due: f.due.Time, Expires: f.expires.Time}
	if len(args) > 0 {
		t.ID = args[0]
	}
	if t.Headers, err = headers(f.keys); err != nil {
		return nil, err
	}
	t.Payload, err = f.payload.read(cmd)
	return t, err
}

func (a *app) create() *cobra.Command {
	var f createFlags
	cmd := &cobra.Command{
		Use:   "create [ID] --due TIME",
		Short: "Create a task, or many from NDJSON",
		Long: `create stores a task; without ID it makes one. It prints what is stored.

With --from it reads many tasks, one JSON object a line: {"id":"a","due":"2026-12-24T18:00:00Z","payload":"..."}, in the form that list --json
prints. They are stored 1000 at a time, each 1000 all or none.`,
		Example: `  triggerhook create reminder-7 --due 24h --payload '{"user":7}' --header tenant=acme
  triggerhook create order-12/cancel --due 2026-12-24T18:00:00Z --expires 2026-12-25T00:00:00Z
  triggerhook create digest-7 --due 10m --on-conflict debounce
  triggerhook create --from tasks.ndjson`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd, args); err != nil {
				return err
			}
			on, err := conflictOf(f.onConflict)
			if err != nil {
				return err
			}
			if f.from != "" {
				return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
					return createFrom(ctx, o, p, f.from, cmd.InOrStdin(), on)
				})
			}
			t, err := f.task(cmd, args)
			if err != nil {
				return err
			}
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error { return store(ctx, o, p, on, t) })
		},
	}
	f.register(cmd)
	return cmd
}

// conflictOf is what --on-conflict says: 0 for Create, which fails.
func conflictOf(text string) (triggerhook.OnConflict, error) {
	if text == "fail" {
		return 0, nil
	}
	for _, on := range []triggerhook.OnConflict{triggerhook.Keep, triggerhook.Replace, triggerhook.Earliest, triggerhook.Debounce} {
		if on.String() == text {
			return on, nil
		}
	}
	return 0, usageError{fmt.Errorf("--on-conflict %q: want fail, keep, replace, earliest or debounce", text)}
}

// createdJSON is a created task in the output of --json.
type createdJSON struct {
	ID      string    `json:"id"`
	Due     time.Time `json:"due"`
	Outcome string    `json:"outcome"`
}

// store stores tasks, and prints for each what became of it.
func store(ctx context.Context, o *opened, p *printer, on triggerhook.OnConflict, tasks ...*triggerhook.Task) error {
	outcomes := make([]triggerhook.UpsertOutcome, len(tasks))
	var err error
	if on == 0 {
		for i := range outcomes {
			outcomes[i] = triggerhook.Created
		}
		err = o.Create(ctx, tasks...)
	} else {
		outcomes, err = o.Upsert(ctx, on, tasks...)
	}
	if err != nil {
		return err
	}
	for i, t := range tasks {
		if err := p.print(createdJSON{t.ID, t.Due, outcomes[i].String()}, "ID\tDUE\tOUTCOME", t.ID, stamp(t.Due), outcomes[i].String()); err != nil {
			return err
		}
	}
	return nil
}

// createFrom stores the tasks of a file of NDJSON, 1000 at a time. An error names the line.
func createFrom(ctx context.Context, o *opened, p *printer, from string, in io.Reader, on triggerhook.OnConflict) error {
	if from != "-" {
		f, err := os.Open(from)
		if err != nil {
			return usageError{fmt.Errorf("--from: %w", err)}
		}
		defer f.Close()
		in = f
	}
	const atOnce = 1000
	var some []*triggerhook.Task
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 32<<20) // a payload of 16 MiB, as base64
	n, stored := 0, 0
	put := func() error {
		if err := store(ctx, o, p, on, some...); err != nil {
			return fmt.Errorf("lines up to %d, %d tasks of earlier lines are stored: %w", n, stored, err)
		}
		stored, some = stored+len(some), nil
		return nil
	}
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		t, err := taskOf(lines.Bytes())
		if err != nil {
			return usageError{fmt.Errorf("line %d, %d tasks of earlier lines are stored: %w", n, stored, err)}
		}
		if some = append(some, t); len(some) < atOnce {
			continue
		}
		if err := put(); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return usageError{fmt.Errorf("line %d, %d tasks of earlier lines are stored: %w", n+1, stored, err)}
	}
	return put()
}

// taskOf reads a task from a line of NDJSON. Where a task stands in its life (state, attempt, next) is passed over.
func taskOf(line []byte) (*triggerhook.Task, error) {
	var j taskJSON
	if err := json.Unmarshal(line, &j); err != nil {
		return nil, err
	}
	if j.Due.IsZero() {
		return nil, errors.New(`"due" is missing`)
	}
	t := &triggerhook.Task{ID: j.ID, Due: j.Due, Headers: j.Headers, Payload: j.PayloadBase64}
	if j.Payload != nil {
		t.Payload = []byte(*j.Payload)
	}
	if j.Expires != nil {
		t.Expires = *j.Expires
	}
	return t, nil
}

func (a *app) get() *cobra.Command {
	return &cobra.Command{
		Use:     "get ID",
		Short:   "Show a task: where it is in its life, and its payload",
		Example: "  triggerhook get reminder-7\n  triggerhook get reminder-7 --json | jq -r .payload",
		Args:    exactly(1, "one ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				i, err := o.Get(ctx, args[0])
				if err != nil {
					return fmt.Errorf("task %q: %w", args[0], err)
				}
				if err := p.task(i, true); err != nil || p.json {
					return err
				}
				return errors.Join(p.flush(), payloadText(p.out, i.Payload))
			})
		},
	}
}

// payloadText writes a payload for people: quoted where a terminal cannot show it.
func payloadText(to io.Writer, payload []byte) error {
	_, err := fmt.Fprintf(to, "payload (%d bytes): %s\n", len(payload), oneLine(string(payload)))
	return err
}

// filterFlags are the flags by which commands select tasks.
type filterFlags struct {
	prefix       string
	from, before instantFlag
	keys         []string
}

func (f *filterFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.prefix, "prefix", "", "tasks whose ID begins with this")
	cmd.Flags().Var(&f.from, "due-from", "tasks that are next offered at this time or later")
	cmd.Flags().Var(&f.before, "due-before", "tasks that are next offered before this time")
	cmd.Flags().StringArrayVar(&f.keys, "header", nil, "tasks that have this header, as KEY=VALUE; may be repeated")
}

// given reports whether any of the flags was given.
func (f *filterFlags) given() bool {
	return f.prefix != "" || !f.from.IsZero() || !f.before.IsZero() || len(f.keys) > 0
}

func (f *filterFlags) filter() (triggerhook.Filter, error) {
	h, err := headers(f.keys)
	return triggerhook.Filter{IDPrefix: f.prefix, DueFrom: f.from.Time, DueBefore: f.before.Time, Headers: h}, err
}

func (a *app) list() *cobra.Command {
	var f filterFlags
	var l listFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List tasks in the order of their times, with --prefix in the order of their IDs",
		Example: "  triggerhook list --prefix customer-42/\n  triggerhook list --due-before 1h --header tenant=acme --json --payloads --limit 0 > tasks.ndjson",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter()
			if err != nil {
				return err
			}
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error { return list(p, l, o.List(ctx, filter), p.task) })
		},
	}
	f.register(cmd)
	l.register(cmd)
	return cmd
}
