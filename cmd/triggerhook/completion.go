package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// choices are the values of flags that take one of a few.
var choices = map[string][]string{
	"on-conflict":    {"fail", "keep", "replace", "earliest", "debounce"},
	"reason":         {"expired", "attempts", "discarded"},
	"webhook-format": {"standard", "cloudevents"},
	"scopes":         {"read", "write", "operate"},
	"hot":            {"redis://", "rediss://", "redis-cluster://", "redis-sentinel://", "local"},
	"store":          {"mysql://", "bolt:"},
	"due":            {"now", "1h", "24h"}, "to": {"now", "1h", "24h"}, "until": {"1h", "24h"},
}

// takeFiles are flags and commands that take the name of a file, which a shell completes by itself.
var takeFiles = map[string]bool{"payload-file": true, "from": true, "tokens": true, "tls-cert": true, "tls-key": true, "webhook-secret-file": true, "import": true, "man": true}

// complete says what a shell may complete in cmd and the commands below it: the values of choices, the names of files where one is taken, and nothing
// in all other places. Without it a shell completes names of files everywhere.
func complete(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 && cmd.Runnable() && cmd.HasParent() && !takeFiles[cmd.Name()] {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if takeFiles[f.Name] || f.NoOptDefVal != "" { // a flag like --json takes no value
			return
		}
		directive := cobra.ShellCompDirectiveNoFileComp
		if f.Name == "store" || f.Name == "hot" {
			directive |= cobra.ShellCompDirectiveNoSpace // the address follows
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(choices[f.Name], directive)) // fails only if the flag has one
	})
	for _, below := range cmd.Commands() {
		complete(below)
	}
}
