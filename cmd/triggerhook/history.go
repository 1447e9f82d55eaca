package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/triggerhook/triggerhook"
)

// endingJSON is how a task ended, in the output of --json.
type endingJSON struct {
	ID        string     `json:"id"`
	How       string     `json:"how"`
	Created   time.Time  `json:"created"`
	Due       time.Time  `json:"due"`
	Delivered *time.Time `json:"delivered,omitempty"`
	Ended     time.Time  `json:"ended"`
	Attempts  int        `json:"attempts"`
	Worker    string     `json:"worker"`
	Reason    string     `json:"reason,omitempty"`
	LastError string     `json:"last_error,omitempty"`
}

func (a *app) history() *cobra.Command {
	return &cobra.Command{
		Use:   "history ID",
		Short: "Show how the tasks of an ID ended, where workers keep history",
		Long: `history shows how the tasks that had this ID ended, the newest first: confirmed, deleted or dead. It is empty if none has ended, or if
workers keep no history (Options.History).`,
		Example: "  triggerhook history reminder-7",
		Args:    exactly(1, "one ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				all, err := o.History(ctx, args[0])
				if err != nil {
					return err
				}
				for _, e := range all {
					if err := p.ending(e); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// ending prints how a task ended.
func (p *printer) ending(e triggerhook.Ending) error {
	j := endingJSON{e.ID, e.How.String(), e.Created.UTC(), e.Due.UTC(), instant(e.Delivered), e.Ended.UTC(), e.Attempts, e.Worker, e.Reason, e.LastError}
	return p.print(j, "ID\tHOW\tENDED\tDUE\tDELIVERED\tATTEMPTS\tWORKER\tREASON", e.ID, e.How.String(), stamp(e.Ended), stamp(e.Due), stamp(e.Delivered),
		strconv.Itoa(e.Attempts), e.Worker, e.Reason)
}
