#!/usr/bin/env bash
# github.com/redis/go-redis/v9 v9.22.0 with Redis 7.0.15 (Debian bookworm): a ClusterClient calls a dead master until its table is 60 s old.
#
# Guess: a cluster's client learns of a failover from a call that fails: the connection to the dead master is refused, so it loads its
#        table of slots anew, and finds the replica that the cluster has promoted some seconds later.
# Seen:  a refused connection loads nothing. The cluster promotes the replica after some seconds, and a client of that node can write
#        from then on. The ClusterClient, with its default options, does so only when the table that it loaded is a minute old: it loads
#        that one again by its age alone, or on MOVED and ASK, which a dead node does not send. (If the dead node comes back as a replica, its MOVED ends
#        the wait.) A client whose caller calls ReloadState after each failure writes about when the cluster can.
#
# Three masters, a replica of the first; cluster-node-timeout is 2 s. Both clients write one key of the first master each 100 ms.
#
# Output seen on 2026-11-29 (the script fails if the second is more than 10 s after the first, or the last is below 40 s):
#   after kill -9 of the master the first write succeeds
#     at the promoted node                          after  3.8 s
#     with a ClusterClient, ReloadState on failure  after  4.7 s
#     with a ClusterClient                          after 60.1 s
set -euo pipefail
tmp=$(mktemp -d); pids=(); trap 'for p in "${pids[@]}"; do { kill -9 "$p" && wait "$p"; } 2>/dev/null || true; done; rm -rf "$tmp"' EXIT
cd "$tmp"; export GOFLAGS=-mod=mod GOWORK=off

# unpack SUITE PACKAGE: with all that it needs into $tmp/PACKAGE-SUITE; no root, and the machine's own packages are left alone
unpack() {
  local suite=$1 pkg=$2 state=$tmp/apt-$1 root=$tmp/$2-$1 mirror
  mkdir -p "$state"/{lists/partial,archives/partial} "$root"; : >"$state/status"
  mirror=$(apt-get --print-uris update | sed -nE "s,^'(https?://[^']*/debian)/dists/.*,\1,p" | head -n1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$state/sources.list"
  apt() { apt-get -qq -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State="$state" -o Dir::State::lists="$state/lists" \
    -o Dir::State::status="$state/status" -o Dir::Cache="$state" -o Dir::Cache::archives="$state/archives" -o APT::Sandbox::User=root -o Acquire::Languages=none \
    -o APT::Install-Recommends=0 "$@"; }
  apt update; apt install -y --download-only "$pkg" >/dev/null
  for d in "$state"/archives/*.deb; do dpkg-deb --fsys-tarfile "$d" | tar -xf - -C "$root" --keep-directory-symlink --no-same-owner; done
}
# in_root ROOT ARGV0 PROGRAM ARGS: with the root's own loader and libraries
in_root() { local root=$1 name=$2 libs ld; shift 2; libs=$(find "$root/usr/lib" "$root/lib" -maxdepth 1 -name "*-linux-gnu" 2>/dev/null | paste -sd: || true)
  ld=$(find "$root/usr/lib" "$root/lib" -name "ld-linux*.so.*" -type f 2>/dev/null | head -n1 || true); exec "$ld" --argv0 "$name" --library-path "$libs" "$root/usr/bin/$1" "${@:2}"; }
unpack bookworm redis-tools; root=$tmp/redis-tools-bookworm
cli() { (in_root "$root" redis-cli redis-cli -p "$@"); }

ports=()
for i in 0 1 2 3; do
  port=$(perl -MIO::Socket::INET -e 'for (1 .. 99) { my $p = 20000 + int rand 10000; my @s = map { IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1:$_") } $p, $p + 10000; if ($s[0] && $s[1]) { print $p; last } }')
  ports+=("$port"); mkdir "$tmp/$i"
  (in_root "$root" redis-server redis-check-rdb --bind 127.0.0.1 --port "$port" --dir "$tmp/$i" --save '' --cluster-enabled yes --cluster-node-timeout 2000 \
    --repl-diskless-sync-delay 0 >"$tmp/$i.log" 2>&1) & pids+=($!)
  for _ in $(seq 100); do [ "$(cli "$port" PING 2>/dev/null)" = PONG ] && break; sleep .1; done
done
slots=("0 5460" "5461 10922" "10923 16383")
for i in 0 1 2; do cli "${ports[$i]}" CLUSTER ADDSLOTSRANGE ${slots[$i]} >/dev/null; done
for i in 1 2 3; do cli "${ports[$i]}" CLUSTER MEET 127.0.0.1 "${ports[0]}" >/dev/null; done
until_ok() { for _ in $(seq 300); do "$@" && return; sleep .1; done; echo "not ready: $*"; exit 1; }
know() { for p in "${ports[@]}"; do cli "$p" CLUSTER INFO | grep -q 'cluster_state:ok' && [ "$(cli "$p" CLUSTER NODES | grep -c -v handshake)" = 4 ] || return 1; done; }
until_ok know
cli "${ports[3]}" CLUSTER REPLICATE "$(cli "${ports[0]}" CLUSTER MYID)" >/dev/null
follows() { cli "${ports[3]}" INFO replication | grep -q 'master_link_status:up' && cli "${ports[1]}" CLUSTER NODES | grep -q slave; }
until_ok follows; sleep 3

cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const key = "a{06S}" // a slot of the first master

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// writes writes each 100 ms until it succeeds, and returns when.
func writes(c redis.UniversalClient, failed func()) time.Time {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		err := c.Set(ctx, key, "", 0).Err()
		cancel()
		if err == nil {
			return time.Now()
		}
		failed()
		time.Sleep(100 * time.Millisecond)
	}
}

func main() {
	redis.SetLogger(quiet{})
	pid, _ := strconv.Atoi(os.Args[1])
	addrs := os.Args[2:]
	plain := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	reloads := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	heir := redis.NewClient(&redis.Options{Addr: addrs[3]})
	nothing := func() {}
	writes(plain, nothing) // each has its table
	writes(reloads, nothing)
	killed := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		panic(err)
	}
	time.Sleep(50 * time.Millisecond)
	at := make([]chan time.Time, 3)
	for i, f := range []func() time.Time{
		func() time.Time { return writes(heir, nothing) },
		func() time.Time { return writes(reloads, func() { reloads.ReloadState(context.Background()) }) },
		func() time.Time { return writes(plain, nothing) },
	} {
		at[i] = make(chan time.Time, 1)
		go func() { at[i] <- f() }()
	}
	fmt.Println("after kill -9 of the master the first write succeeds")
	var took [3]time.Duration
	for i, name := range []string{"at the promoted node", "with a ClusterClient, ReloadState on failure", "with a ClusterClient"} {
		took[i] = (<-at[i]).Sub(killed)
		fmt.Printf("  %-45s after %4.1f s\n", name, took[i].Seconds())
	}
	if took[1] > took[0]+10*time.Second || took[2] < 40*time.Second {
		fmt.Println("NOT as described")
		os.Exit(1)
	}
	fmt.Println("as described")
}
GO
go mod init finding >/dev/null 2>&1; go get github.com/redis/go-redis/v9@v9.22.0 >/dev/null 2>&1; go build -o prog .
master=$(cli "${ports[0]}" INFO server | sed -nE 's/^process_id:([0-9]+)\r?$/\1/p')
echo "== $(cli "${ports[0]}" INFO server | sed -nE 's/^(redis_version:.*)\r$/\1/p'), go-redis v9.22.0"
./prog "$master" "${ports[@]/#/127.0.0.1:}"
