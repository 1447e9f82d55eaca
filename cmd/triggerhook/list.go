package main

import (
	"fmt"
	"iter"

	"github.com/spf13/cobra"
)

// listFlags are the flags of commands that list.
type listFlags struct {
	limit    int
	payloads bool
}

func (f *listFlags) register(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.limit, "limit", 100, "list no more than this; 0: all")
	cmd.Flags().BoolVar(&f.payloads, "payloads", false, "with --json: payloads too")
}

// list prints what all has, up to the limit, and says on standard error if there is more.
func list[T any](p *printer, f listFlags, all iter.Seq2[T, error], print func(T, bool) error) error {
	n := 0
	for one, err := range all {
		if err != nil {
			return err
		}
		if n++; f.limit > 0 && n > f.limit {
			_, err := fmt.Fprintf(p.errs, "triggerhook: there are more than %d: give another --limit, 0 for all\n", f.limit)
			return err
		}
		if err := print(one, f.payloads); err != nil {
			return err
		}
	}
	return nil
}
