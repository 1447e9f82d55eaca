#!/usr/bin/env bash
# Redis 7.0.15 (Debian bookworm), Redis 8.0 and Valkey 8.1 (Debian trixie): a command that the ACL denies has two different errors.
#
# Guess: a denied command answers "NOPERM ...", so a client recognises missing rights by that code.
# Seen:  the same user and the same command answer NOPERM only outside of scripts. Inside EVAL the error of redis.call has the
#        code ERR in all three servers, and Redis 7.0 does not even name the command; redis.pcall hands the script a table whose
#        text has that code as well. A client that looks for NOPERM takes missing rights for an unknown error.
#
# Output seen on 2026-11-29 (the script fails if that changes):
#   bookworm redis 7.0.15
#     TIME                          NOPERM this user has no permissions to run the 'time' command
#     EVAL redis.call('TIME')       ERR The user executing the script can't run this command or subcommand script: 104ae..., on @user_script:1.
#     EVAL redis.pcall('TIME').err  ERR The user executing the script can't run this command or subcommand
#   trixie redis 8.0.2, and the same from trixie valkey 8.1.1
#     TIME                          NOPERM User u has no permissions to run the 'time' command
#     EVAL redis.call('TIME')       ERR ACL failure in script: User u has no permissions to run the 'time' command script: 104ae..., on @user_script:1.
#     EVAL redis.pcall('TIME').err  ERR ACL failure in script: User u has no permissions to run the 'time' command
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
try() { # SUITE PACKAGE NAME TEXT: what a script is told of a denied command
  local suite=$1 pkg=$2 name=$3 want=$4 root=$tmp/$2-$1 sock=$tmp/$3-$1.sock got
  unpack "$suite" "$pkg"
  (in_root "$root" "$name-server" "$name-check-rdb" --port 0 --unixsocket "$sock" --save '' --dir "$tmp" >"$tmp/log" 2>&1) & pids+=($!)
  cli() { (in_root "$root" "$name-cli" "$name-cli" -s "$sock" "$@"); }
  for _ in $(seq 300); do [ -S "$sock" ] && break; sleep .1; done; [ -S "$sock" ] || { cat "$tmp/log"; exit 1; }
  echo "== $suite $name $(cli INFO server | sed -nE 's/^(redis|valkey)_version:(.*)\r$/\1_version \2/p' | paste -sd' ')"
  cli ACL SETUSER u on '>p' '~*' +eval >/dev/null
  got=$(cli --user u --pass p --no-auth-warning TIME 2>&1); echo "TIME:                             $got"
  [[ $got == NOPERM* ]] || bad=1
  got=$(cli --user u --pass p --no-auth-warning EVAL "return redis.call('TIME')" 0 2>&1); echo "EVAL redis.call('TIME'):          $got"
  [[ $got == ERR* && $got == *"$want"* ]] || bad=1
  got=$(cli --user u --pass p --no-auth-warning EVAL "return redis.pcall('TIME').err" 0 2>&1); echo "EVAL redis.pcall('TIME').err:     $got"
  [[ $got != *NOPERM* ]] || bad=1
}
try bookworm redis-tools redis "can't run this command or subcommand"
try trixie redis-tools redis "ACL failure in script"
try trixie valkey-tools valkey "ACL failure in script"
[ $bad = 0 ] && echo "as described" || { echo "NOT as described"; exit 1; }
