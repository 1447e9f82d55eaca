package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// mostPayload is the longest payload that a store takes: import takes what any worker's Options.MaxPayload has let in.
const mostPayload = 1<<24 - 1

func (a *app) importTasks() *cobra.Command {
	var predecessor string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "import FILE | import --from-pvelx URL",
		Short: "Store the tasks of an export, or of the predecessor's tables",
		Long: `import stores the tasks that export has written; - is standard input. A task whose ID exists is kept as it is, so an import that was interrupted
may be repeated. At most 1000 tasks and 8 MiB are stored at a time, each time all or none; an error names the line. Attempts and delays of
retries begin anew. Dead letters, which "export --dead" has written, are refused: "dead requeue" makes tasks of them.

With --from-pvelx it reads the tables task and collection of github.com/pvelx/triggerhook, and changes nothing there. IDs and times are kept.
Stop the predecessor first, or it delivers the tasks too.

With --dry-run it checks each task, counts which exist, and stores nothing.`,
		Example: `  triggerhook import tasks.ndjson --dry-run
  triggerhook --store bolt:tasks.bolt export | triggerhook --store mysql://app@db/shop --hot redis://cache:6379 import -
  triggerhook import --from-pvelx mysql://app@db:3306/old`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (predecessor != "") || len(args) > 1 {
				return usageError{fmt.Errorf("import takes one file, or --from-pvelx; got %d files and --from-pvelx %q", len(args), redacted(predecessor))}
			}
			tasks, closeIn, err := openImport(cmd, args, predecessor)
			if err != nil {
				return err
			}
			a.maxPayload = mostPayload
			return errors.Join(a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				return importFrom(ctx, o, p, tasks, dryRun)
			}), closeIn())
		},
	}
	cmd.Flags().StringVar(&predecessor, "from-pvelx", "", "MySQL URL of the predecessor's database, in place of a file")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "check and count the tasks, and store nothing")
	return cmd
}

// openImport opens what the tasks are read from.
func openImport(cmd *cobra.Command, args []string, predecessor string) (tasks source, closeIn func() error, err error) {
	if predecessor != "" {
		return openPvelx(predecessor)
	}
	if args[0] == "-" {
		return lines(cmd.InOrStdin()), func() error { return nil }, nil
	}
	f, err := os.Open(args[0])
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("import: %w", err)}
	}
	return lines(f), f.Close, nil
}

// source yields tasks, each with the place that it comes from, as an error names it. An error ends it.
type source func(ctx context.Context) iter.Seq2[placed, error]

// placed is a task and where it comes from.
type placed struct {
	*triggerhook.Task
	at string
}

// lines yields the tasks of NDJSON.
func lines(in io.Reader) source {
	return func(context.Context) iter.Seq2[placed, error] {
		return func(yield func(placed, error) bool) {
			text := bufio.NewScanner(in)
			text.Buffer(nil, 32<<20) // a payload of 16 MiB, as base64
			n := 0
			for text.Scan() {
				if n++; len(text.Bytes()) == 0 {
					continue
				}
				at := "line " + strconv.Itoa(n)
				t, err := exportedTask(text.Bytes())
				if err != nil {
					err = usageError{fmt.Errorf("%s: %w", at, err)}
				}
				if !yield(placed{t, at}, err) || err != nil {
					return
				}
			}
			if err := text.Err(); err != nil {
				yield(placed{}, usageError{fmt.Errorf("line %d: %w", n+1, err)})
			}
		}
	}
}

// importLine is a line of an export, or of what list and dead list print with --json.
type importLine struct {
	taskJSON
	Created   *time.Time `json:"created"`
	Attempts  int        `json:"attempts"`
	Reason    string     `json:"reason"`
	LastError string     `json:"last_error"`
	Died      *time.Time `json:"died"`
}

// exportedTask reads a line. A field that is not known is refused: it may be a misspelt one. So is a dead letter, which as a task would be
// offered once more.
func exportedTask(line []byte) (*triggerhook.Task, error) {
	var j importLine
	from := json.NewDecoder(bytes.NewReader(line))
	from.DisallowUnknownFields()
	if err := from.Decode(&j); err != nil {
		return nil, err
	}
	switch _, more := from.Token(); {
	case !errors.Is(more, io.EOF):
		return nil, errors.New("there is more than one JSON object")
	case j.Died != nil:
		return nil, errors.New(`it is a dead letter ("died" is set), and import takes tasks`)
	case j.Payload != nil && j.PayloadBase64 != nil:
		return nil, errors.New(`both "payload" and "payload_base64" are set`)
	}
	return taskOf(line)
}

// importedJSON is the result of an import.
type importedJSON struct {
	Read    int  `json:"read"`
	Created int  `json:"created"`
	Kept    int  `json:"kept"` // a task of that ID existed
	DryRun  bool `json:"dry_run,omitempty"`
}

// importer stores tasks batch by batch.
type importer struct {
	o        *opened
	done     importedJSON
	progress progress
	batch    []*triggerhook.Task
	from, to string // the places of the first and of the last task of the batch
	ids      map[string]bool
	bytes    int
}

// A batch has at most so many tasks and bytes, so that a commit is short and a process needs little memory.
const (
	batchTasks = 1000
	batchBytes = 8 << 20
)

// importFrom stores all tasks, and prints what it has done, also if it ended early.
func importFrom(ctx context.Context, o *opened, p *printer, tasks source, dryRun bool) error {
	i := &importer{o: o, progress: newProgress(p.errs, "read"), ids: map[string]bool{}, done: importedJSON{DryRun: dryRun}}
	err := i.all(ctx, tasks)
	if err != nil {
		err = fmt.Errorf("import: %w (%d tasks before are stored, or were there; it may be repeated)", err, i.done.Created+i.done.Kept)
	}
	d := i.done
	return errors.Join(err, i.progress.end(), p.print(d, "READ\tCREATED\tKEPT", strconv.Itoa(d.Read), strconv.Itoa(d.Created), strconv.Itoa(d.Kept)))
}

func (i *importer) all(ctx context.Context, tasks source) error {
	for t, err := range tasks(ctx) {
		if err == nil {
			if err = check(t.Task); err != nil {
				err = usageError{fmt.Errorf("%s: %w", t.at, err)}
			}
		}
		if err != nil {
			return err
		}
		i.done.Read++
		size := len(t.ID) + len(t.Payload) + task.HeadersSize(t.Headers)
		if len(i.batch) == batchTasks || i.bytes+size > batchBytes || i.ids[t.ID] {
			if err := i.put(ctx); err != nil {
				return err
			}
		}
		if len(i.batch) == 0 {
			i.from = t.at
		}
		i.batch, i.to, i.ids[t.ID], i.bytes = append(i.batch, t.Task), t.at, true, i.bytes+size
	}
	return i.put(ctx)
}

// check refuses what Create would refuse, so that the error names the place of that one task.
func check(t *triggerhook.Task) error {
	due, wrong := task.DueMS(t.Due)
	_, late := task.ExpiresMS(t.Expires, due)
	_, headers := task.EncodeHeaders(t.Headers)
	err := errors.Join(task.CheckID(t.ID), wrong, late, headers)
	if len(t.Payload) > mostPayload {
		err = errors.Join(err, fmt.Errorf("%w: payload of %d bytes, at most %d are taken", triggerhook.ErrInvalid, len(t.Payload), mostPayload))
	}
	return err
}

// put stores the batch. An ID that is in the source twice is in two batches, so the first one counts.
func (i *importer) put(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	created, err := i.store(ctx)
	if err != nil {
		return fmt.Errorf("%s to %s: %w", i.from, i.to, err)
	}
	i.done.Created, i.done.Kept = i.done.Created+created, i.done.Kept+len(i.batch)-created
	n := len(i.batch)
	i.batch, i.bytes = i.batch[:0], 0
	clear(i.ids)
	return i.progress.add(n)
}

// store stores the batch, or with a dry run looks which tasks exist, and returns how many are new.
func (i *importer) store(ctx context.Context) (created int, err error) {
	if i.done.DryRun {
		ids := make([]string, len(i.batch))
		for k, t := range i.batch {
			ids[k] = t.ID
		}
		found, err := i.o.store.Versions(ctx, ids)
		return len(ids) - len(found), err
	}
	outcomes, err := i.o.Upsert(ctx, triggerhook.Keep, i.batch...)
	for _, outcome := range outcomes {
		if outcome == triggerhook.Created {
			created++
		}
	}
	return created, err
}
