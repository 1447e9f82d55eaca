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
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // owns the signals: the first ends the command in order, the second at once
		<-signals
		cancel()
		<-signals
		os.Exit(exitInterrupted)
	}()
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
