package main

import (
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// tableLines matches the lines of a table, which are indented by two spaces or more.
var tableLines = regexp.MustCompile(`(?m)(^  .*\n?)+`)

// markdown is the text of a command with its tables as Markdown marks them, so that a manual page does not join their lines.
func markdown(long string) string {
	return tableLines.ReplaceAllStringFunc(long, func(lines string) string {
		return "\n    " + strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", "\n    ") + "\n\n"
	})
}

// man writes the manual pages, for the archives of a release and for packagers.
func (a *app) man() *cobra.Command {
	return &cobra.Command{
		Use:     "man FOLDER",
		Short:   "Write a manual page of each command into a folder",
		Example: "  triggerhook man /usr/local/share/man/man1",
		Args:    exactly(1, "one folder"),
		Hidden:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true // it has the day of the build, so that no two builds would be equal
			for _, c := range append(root.Commands(), root) {
				c.Long = markdown(c.Long)
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			return doc.GenManTree(root, &doc.GenManHeader{Title: "TRIGGERHOOK", Section: "1", Source: "triggerhook", Manual: "Trigger Hook"}, args[0])
		},
	}
}
