#!/usr/bin/env bash
# Redis 7.0.15 (Debian bookworm), Redis 8.0 and Valkey 8.1 (Debian trixie): a master's replication ID changes when its first replica comes.
#
# Guess: master_replid names a master's history of data: it changes when a server becomes a master (a promotion, a restart), as a
#        PSYNC needs, and stays while a master goes on. So a client may know by it whether it still meets the data that it wrote.
# Seen:  a master that has had no replica changes its master_replid, with nothing in master_replid2, at the moment when the first one
#        attaches: neither its run_id nor its data change. A second replica, or the first one again soon after, changes nothing. A
#        promotion is told from that by master_replid2, which then names the ID of before.
#
# Output seen on 2026-11-29 (the script fails if that changes), the same from all three:
#   a master alone             replid A, replid2 zeros
#   a first replica attaches   replid B, replid2 zeros, run_id as before
#   it leaves and comes again  replid B
#   the replica is promoted    replid C, replid2 B
set -euo pipefail
tmp=$(mktemp -d); pids=(); trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; rm -rf "$tmp"' EXIT

# unpack SUITE PACKAGE: with all that it needs into $tmp/PACKAGE-SUITE; no root, and the machine's own packages are left alone
unpack() {
  local suite=$1 pkg=$2 state=$tmp/apt-$1 root=$tmp/$2-$1 mirror
  mkdir -p "$state"/{lists/partial,archives/partial} "$root"; : >"$state/status"
  mirror=$(apt-get --print-uris update | sed -nE "s,^'(https?://[^']*/debian)/dists/.*,\1,p" | head -n1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$state/sources.list"
  apt() { apt-get -qq -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State="$state" -o Dir::State::lists="$state/lists" \
    -o Dir::State::status="$state/status" -o Dir::Cache="$state" -o Dir::Cache::archives="$state/archives" -o APT::Sandbox::User=root -o Acquire::Languages=none \
    -o APT::Install-Recommends=0 "$@"; }
  [ -e "$state/updated" ] || { apt update; touch "$state/updated"; }
  rm -f "$state"/archives/*.deb; apt install -y --download-only "$pkg" >/dev/null
  for d in "$state"/archives/*.deb; do dpkg-deb --fsys-tarfile "$d" | tar -xf - -C "$root" --keep-directory-symlink --no-same-owner; done
}
# in_root ROOT ARGV0 PROGRAM ARGS: with the root's own loader and libraries
in_root() { local root=$1 name=$2 libs ld; shift 2; libs=$(find "$root/usr/lib" "$root/lib" -maxdepth 1 -name "*-linux-gnu" 2>/dev/null | paste -sd: || true)
  ld=$(find "$root/usr/lib" "$root/lib" -name "ld-linux*.so.*" -type f 2>/dev/null | head -n1 || true); exec "$ld" --argv0 "$name" --library-path "$libs" "$root/usr/bin/$1" "${@:2}"; }

bad=0
try() { # SUITE PACKAGE NAME
  local suite=$1 pkg=$2 name=$3 root=$tmp/$2-$1 a b alone first again
  unpack "$suite" "$pkg"
  a=$tmp/$name-$suite-a.sock b=$tmp/$name-$suite-b.sock
  for s in "$a" "$b"; do
    mkdir "$s.dir"
    port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
    (in_root "$root" "$name-server" "$name-check-rdb" --bind 127.0.0.1 --port "$port" --unixsocket "$s" --save '' --dir "$s.dir" --repl-diskless-sync-delay 0 >"$s.log" 2>&1) & pids+=($!)
    echo "$port" >"$s.port"
    for _ in $(seq 300); do [ -S "$s" ] && break; sleep .1; done; [ -S "$s" ] || { cat "$s.log"; exit 1; }
  done
  cli() { local s=$1; shift; (in_root "$root" "$name-cli" "$name-cli" -s "$s" "$@"); }
  field() { cli "$1" INFO | sed -nE "s/^$2:([^\r]*)\r?$/\1/p"; }
  attach() { cli "$b" REPLICAOF 127.0.0.1 "$(cat "$a.port")" >/dev/null; for _ in $(seq 300); do [ "$(field "$b" master_link_status)" = up ] && return; sleep .1; done; cat "$b.log"; exit 1; }
  echo "== $suite $name $(cli "$a" INFO server | sed -nE 's/^(redis|valkey)_version:(.*)\r$/\1_version \2/p' | paste -sd' ')"
  local none=0000000000000000000000000000000000000000 run
  run=$(field "$a" run_id); alone=$(field "$a" master_replid)
  echo "a master alone             replid $alone, replid2 $(field "$a" master_replid2)"
  attach; first=$(field "$a" master_replid)
  echo "a first replica attaches   replid $first, replid2 $(field "$a" master_replid2)"
  [ "$first" != "$alone" ] && [ "$(field "$a" master_replid2)" = $none ] && [ "$(field "$a" run_id)" = "$run" ] || bad=1
  cli "$b" REPLICAOF NO ONE >/dev/null; cli "$b" FLUSHALL >/dev/null; attach; again=$(field "$a" master_replid)
  echo "it leaves and comes again  replid $again"
  [ "$again" = "$first" ] || bad=1
  cli "$b" REPLICAOF NO ONE >/dev/null
  for _ in $(seq 100); do [ "$(field "$b" role)" = master ] && break; sleep .1; done
  echo "the replica is promoted    replid $(field "$b" master_replid), replid2 $(field "$b" master_replid2)"
  [ "$(field "$b" master_replid)" != "$first" ] && [ "$(field "$b" master_replid2)" = "$first" ] || bad=1
}
try bookworm redis-tools redis
try trixie redis-tools redis
try trixie valkey-tools valkey
[ $bad = 0 ] && echo "as described" || { echo "NOT as described"; exit 1; }
