// Command triggerhook works with the tasks of a namespace from a shell: it creates, lists, moves and deletes
// them, handles dead letters, and shows figures. It needs no program of yours, and uses the library's exported API
// alone.
//
//	triggerhook --store 'mysql://app@db:3306/shop' --hot 'redis://cache:6379' list --prefix customer-42/
//
// "triggerhook help" lists the commands, and "triggerhook help COMMAND" has examples of each.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second signal ends the process at once
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
