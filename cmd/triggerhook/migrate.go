package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
)

func (a *app) migrate() *cobra.Command {
	var script, status bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Create the tables, or bring them up to date",
		Long: `migrate creates the tables, or brings them up to date. It may be repeated, and run beside workers.

With --sql it changes nothing, and prints the statements that are left to run, for a person who may change tables to give to the mysql client;
nothing if there are none. With --status it prints the versions of the tables and of this command.`,
		Example: `  triggerhook --store mysql://root@127.0.0.1/shop --hot redis://127.0.0.1:6379 migrate
  triggerhook migrate --sql > schema.sql`,
		Args: exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.run(cmd, func(ctx context.Context, o *opened, p *printer) error {
				switch {
				case script:
					return printMigration(ctx, o, p, a.partitions)
				case status:
					return printSchema(ctx, o, p)
				}
				return o.Migrate(ctx)
			})
		},
	}
	cmd.Flags().BoolVar(&script, "sql", false, "print the statements that are left, and run none")
	cmd.Flags().BoolVar(&status, "status", false, "print the versions, and change nothing")
	cmd.MarkFlagsMutuallyExclusive("sql", "status")
	return cmd
}

// mysql is the durable store, if it is MySQL.
func (o *opened) mysql() (*durable.MySQL, error) {
	m, is := o.store.(*durable.MySQL)
	if !is {
		return nil, fmt.Errorf("%w: a bolt file has no SQL, and migrates itself", triggerhook.ErrUnsupported)
	}
	return m, nil
}

func printMigration(ctx context.Context, o *opened, p *printer, partitions int) error {
	m, err := o.mysql()
	if err != nil {
		return err
	}
	script, err := m.MigrationSQL(ctx, partitions)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(p.out, script)
	return err
}

// schemaJSON are versions of the schema.
type schemaJSON struct {
	Tables     int `json:"tables"`
	Command    int `json:"command"`
	Compatible int `json:"compatible"`
}

func printSchema(ctx context.Context, o *opened, p *printer) error {
	m, err := o.mysql()
	if err != nil {
		return err
	}
	s, err := m.Schema(ctx)
	if err != nil {
		return err
	}
	return p.print(schemaJSON{s.Version, s.Library, s.Compatible}, "TABLES\tCOMMAND\tCOMPATIBLE", strconv.Itoa(s.Version), strconv.Itoa(s.Library), strconv.Itoa(s.Compatible))
}
