#!/usr/bin/env bash
# github.com/redis/go-redis/v9 v9.23.0: after a pipeline that a hook has refused, each of its commands says that it has no error.
#
# Guess: a command tells by Err whether it was done, in a pipeline as alone. A hook that does not call next (a circuit breaker, a limiter) is a usual thing,
#        and its error reaches the command that it refuses.
# Seen:  alone it does: Err of the command is the hook's error. In a pipeline Exec alone returns the error. Err of each command stays nil, and what it holds is its
#        zero value: a GET looks like an empty text, a TIME like the year 1, and a script's answer is an error about its type. A caller that looks at its
#        commands, as one does whose commands may fail each by itself, takes what was never sent for done. (When the connection fails, each has the error.)
#
# No server is needed: nothing is sent.
#
# Output seen on 2026-11-30 (the script fails if the two commands of the pipeline have an error, or the one alone has none):
#   alone:    GET says "the circuit is open"
#   pipeline: Exec says "the circuit is open", GET says <nil> and holds "", TIME says <nil> and holds 0001-01-01 00:00:00 +0000 UTC
set -euo pipefail
tmp=$(mktemp -d); trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
cd "$tmp"; export GOFLAGS=-mod=mod GOWORK=off
cat >go.mod <<'MOD'
module finding

go 1.26

require github.com/redis/go-redis/v9 v9.23.0
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/redis/go-redis/v9"
)

var open = errors.New("the circuit is open")

type breaker struct{}

func (breaker) DialHook(next redis.DialHook) redis.DialHook { return next }

func (breaker) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error { return open }
}

func (breaker) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error { return open }
}

func main() {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	rdb.AddHook(breaker{})
	alone := rdb.Get(ctx, "key")
	fmt.Printf("alone:    GET says %q\n", alone.Err())
	pipe := rdb.Pipeline()
	get, now := pipe.Get(ctx, "key"), pipe.Time(ctx)
	_, err := pipe.Exec(ctx)
	fmt.Printf("pipeline: Exec says %q, GET says %v and holds %q, TIME says %v and holds %v\n", err, get.Err(), get.Val(), now.Err(), now.Val())
	if alone.Err() == nil || err == nil || get.Err() != nil || now.Err() != nil {
		fmt.Println("this has changed")
		os.Exit(1)
	}
}
GO
go run .
