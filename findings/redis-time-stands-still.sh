#!/usr/bin/env bash
# Redis 7.0.15 (Debian bookworm), Redis 8.0 and Valkey 8.1 (Debian trixie): whether the clock that TIME tells goes on in a script or a transaction.
#
# Guess: TIME tells the server's clock, to the microsecond, wherever it is called: a script that reads it last has the reading that
#        is nearest to its answer, and one that reads it twice knows how long it took.
# Seen:  so it is in 7.0. In Redis 8.0 and Valkey 8.1 the time stands still while a script or a MULTI runs, also for TIME: the second
#        reading in one script, or in one transaction, is the first, however long what is in between takes. So an answer's time is that of its
#        beginning, and a limiter or a lease that counts from it counts the running time of its own script as not yet passed.
#
# Output seen on 2026-11-30 (the script fails if that changes), of two readings with 200,000 PINGs in between:
#   bookworm redis (redis 7.0.15): in a script differ, in a transaction differ
#   trixie redis (redis 8.0.2): in a script same, in a transaction same
#   trixie valkey (redis 7.2.4,valkey 8.1.1): in a script same, in a transaction same
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
try() { # SUITE PACKAGE NAME WANT
  local suite=$1 pkg=$2 name=$3 want=$4 root=$tmp/$2-$1 s=$tmp/$3-$1.sock
  unpack "$suite" "$pkg"
  (in_root "$root" "$name-server" "$name-check-rdb" --port 0 --unixsocket "$s" --save '' --dir "$tmp" >"$s.log" 2>&1) & pids+=($!)
  for _ in $(seq 300); do [ -S "$s" ] && break; sleep .1; done; [ -S "$s" ] || { cat "$s.log"; exit 1; }
  cli() { (in_root "$root" "$name-cli" "$name-cli" -s "$s" "$@"); }
  local busy="for i = 1, 200000 do redis.call('PING') end" script multi
  # the readings as one number each: seconds and microseconds
  script=$(cli EVAL "local function at() local t = redis.call('TIME') return t[1] .. string.format('%06d', t[2]) end
    local first = at() $busy return first == at() and 'same' or 'differ'" 0)
  multi=$(printf '%s\n' MULTI TIME "EVAL \"$busy\" 0" TIME EXEC | cli | tail -n 5 | tr -dc '0-9\n' | sed '/^$/d' | paste -sd' ')
  read -r s1 u1 s2 u2 <<<"$multi"
  [ "$s1 $u1" = "$s2 $u2" ] && multi=same || multi=differ
  echo "$suite $name ($(cli INFO server | sed -nE 's/^(redis|valkey)_version:(.*)\r$/\1 \2/p' | paste -sd,)): in a script $script, in a transaction $multi"
  [ "$script $multi" = "$want $want" ] || bad=1
}
try bookworm redis-tools redis differ
try trixie redis-tools redis same
try trixie valkey-tools valkey same
[ $bad = 0 ] && echo "as described" || { echo "NOT as described"; exit 1; }
