// Command servers brings one server of each kind, names them in the environment
// (testserver.Kind.Env), runs a command under it, and stops them:
//
//	go run ./internal/testserver/servers go test ./...
//
// With --topology it brings a MySQL and a Redis that fails over instead: sentinel (a master,
// two replicas, three Sentinels) or cluster (three masters, each with a replica). The
// command finds their addresses in the environment:
//
//	go run ./internal/testserver/servers --topology cluster bash
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string) (int, error) {
	if len(args) > 1 && args[0] == "--topology" {
		return runOn(ctx, args[1], args[2:])
	}
	if len(args) == 0 {
		return 2, errUsage
	}
	servers, err := bring(ctx)
	defer func() {
		for _, s := range servers {
			_ = s.Close()
		}
	}()
	if err != nil {
		return 1, err
	}
	var env []string
	for kind, s := range servers {
		env = append(env, kind.Env()+"="+s.Export())
	}
	return command(ctx, args, env)
}

var errUsage = errors.New("usage: servers [--topology sentinel|cluster] COMMAND [ARG]")

// command runs the command under that environment, and returns its status.
func command(ctx context.Context, args, env []string) (int, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env...)
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 1, fmt.Errorf("run %s: %w", args[0], err)
	}
	return 0, nil
}

// bring brings all kinds at once: most of the time goes into their first start. A server
// from outside may be of another kind than it stands for.
func bring(ctx context.Context) (map[testserver.Kind]*testserver.Server, error) {
	var (
		mu   sync.Mutex
		all  = map[testserver.Kind]*testserver.Server{}
		errs []error
		wg   sync.WaitGroup
	)
	for _, kind := range testserver.Kinds() {
		wg.Go(func() {
			s, err := testserver.Bring(ctx, kind)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			all[kind] = s
		})
	}
	wg.Wait()
	return all, errors.Join(errs...)
}
