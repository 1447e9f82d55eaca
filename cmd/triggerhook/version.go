package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release, commit and date are set by the linker in the binaries of a release (.goreleaser.yaml). A binary that go install has built has its
// version from the module, and one of a working copy has its commit from Git.
var release, commit, date string

// build is what is known of this program.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Date    string `json:"date,omitempty"` // of the commit
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// thisBuild is what the linker and the go command have recorded.
func thisBuild() build {
	b := build{Version: release, Commit: commit, Date: date, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if release == "" && ok {
		b.Version = info.Main.Version
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = s.Value
			case "vcs.time":
				b.Date = s.Value
			}
		}
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	return b
}

// programVersion is the version of this program.
func programVersion() string { return thisBuild().Version }

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this program",
		Example: "  triggerhook version\n  triggerhook version --json",
		Args:    exactly(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := thisBuild()
			p := &printer{out: cmd.OutOrStdout(), json: a.json}
			if a.json {
				return p.print(b, "")
			}
			_, err := fmt.Fprintf(p.out, "triggerhook %s\n", b.Version)
			if err == nil && b.Commit != "" {
				_, err = fmt.Fprintf(p.out, "commit %s of %s\n", b.Commit, b.Date)
			}
			if err == nil {
				_, err = fmt.Fprintf(p.out, "built with %s for %s/%s\n", b.Go, b.OS, b.Arch)
			}
			return err
		},
	}
}
