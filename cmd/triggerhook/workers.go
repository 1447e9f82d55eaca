package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/metrics/throughput"
)

// workerJSON is a worker in the output of --json.
type workerJSON struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Started    *time.Time `json:"started,omitempty"` // none: what it tells cannot be read
	Seen       time.Time  `json:"seen"`
	Roles      []string   `json:"roles"`
	Queued     int64      `json:"queued"`
	InHand     int64      `json:"in_hand"`
	Confirming int64      `json:"confirming"`
	Stuck      int64      `json:"stuck"`
	Created    uint64     `json:"created"` // this and what follows: since it started
	Delivered  uint64     `json:"delivered"`
	Confirmed  uint64     `json:"confirmed"`
	Failed     uint64     `json:"failed"`
	Dead       uint64     `json:"dead"`
}

func (a *app) workers() *cobra.Command {
	return &cobra.Command{
		Use:   "workers",
		Short: "Show the workers that are alive, and what each holds",
		Long: `workers shows the workers that are alive: the background roles of each (one worker has the role of the feeder, which fills the hot set), what it
holds, and what it did since it started. Workers tell of themselves only while they are asked, so this takes some 3 s. What each does in a
second is in "triggerhook top".`,
		Example: "  triggerhook workers\n  triggerhook workers --json | jq -r 'select(.stuck > 0).name'",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				all, failed := o.Workers(ctx) // an error of one worker comes beside the others
				for _, w := range all {
					if err := p.worker(w); err != nil {
						return err
					}
				}
				if len(all) == 0 && failed == nil && !p.json {
					fmt.Fprintln(p.errs, "triggerhook: no worker is alive")
				}
				return failed
			})
		},
	}
}

// worker prints a worker.
func (p *printer) worker(w triggerhook.WorkerInfo) error {
	n, c := w.Stats, throughput.CountersOf(w.Stats)
	j := workerJSON{w.ID, w.Name, instant(w.Started), w.Seen.UTC(), append([]string{}, w.Roles...), n.Queued, n.InHand, n.Confirming, n.Stuck, c.Created, c.Delivered, c.Confirmed, c.Failed, c.Dead}
	columns := []string{w.Name, stamp(w.Started), stamp(w.Seen), strings.Join(w.Roles, ",")}
	for _, held := range []int64{n.Queued, n.InHand, n.Confirming, n.Stuck} {
		columns = append(columns, strconv.FormatInt(held, 10))
	}
	for _, did := range []uint64{c.Delivered, c.Confirmed, c.Failed} {
		columns = append(columns, strconv.FormatUint(did, 10))
	}
	return p.print(j, "NAME\tSTARTED\tSEEN\tROLES\tQUEUED\tIN HAND\tCONFIRMING\tSTUCK\tDELIVERED\tCONFIRMED\tFAILED", columns...)
}
