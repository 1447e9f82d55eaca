#!/usr/bin/env bash
# InnoDB's estimates of how many rows a range has (EXPLAIN), of MySQL 9.7.4 (Debian sid) and MariaDB 10.11.18 (Debian bookworm).
#
# Guess: the estimate of a longer range is about the larger, as the range has more rows. So the rows between two times are about the difference of
#        the estimates of what lies before each: a count of what falls due in each minute, at the cost of a few pages.
# Seen:  a table of 200,000 rows, one a millisecond, inserted in random order.
#        1. No range has more than about half of the rows, in both servers: the estimates of what lies before 60, 80 and 100 % of the time are all the same.
#        2. MySQL: of 20 ranges that have 1,000 rows each, the differences of the estimates of what lies before them are far off: some are
#           below 0, others several thousand. Asked for each range itself, the server is right within a factor of two for all of them.
#        3. MariaDB: the differences are all too large by a factor of about two, and for half of the ranges so is the answer for the range itself.
#        So a time is asked for as a range of its own, and what is more than half of the table is taken from the number of all rows.
#
# Output seen on 2026-11-30 (the script fails if the answers change; the numbers vary):
#   before 60, 80 and 100 %: 113393, 113393, 113393 of 200000
#   20 ranges of 1000 rows: differences from -1164 to 6032; asked for itself, 20 of 20 are within a factor of two
#   mysql: no more than 60 %: true, differences are far off: true, ranges are right: true
#   before 60, 80 and 100 %: 99168, 99168, 99168 of 200000
#   20 ranges of 1000 rows: differences from 1770 to 2546; asked for itself, 11 of 20 are within a factor of two
#   mariadb: no more than 60 %: true, differences are far off: false, ranges are right: false
set -euo pipefail
tmp=$(mktemp -d); pids=(); trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null && wait "$p" || true; done; rm -rf "$tmp"' EXIT

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
  rm -rf "$state"
}
# in_root ROOT PROGRAM ARGS: with the root's own loader and libraries
in_root() { local root=$1 prog=$2 libs ld; shift 2; libs=$(find "$root/usr/lib" "$root/lib" -maxdepth 1 -name "*-linux-gnu" 2>/dev/null | paste -sd: || true)
  ld=$(find "$root/usr/lib" "$root/lib" -name "ld-linux*.so.*" -type f 2>/dev/null | head -n1 || true); exec "$ld" --argv0 "$prog" --library-path "$libs" "$root/$prog" "$@"; }

# server NAME ARGS: the program of NAME, without any configuration file
server() { local name=$1 root; shift
  local common=(--no-defaults --user="$(id -un)" --datadir="$tmp/data-$name" --tmpdir="$tmp" --innodb-buffer-pool-size=64M)
  case $name in
  mariadb) root=$tmp/mariadb-server-core-bookworm; in_root "$root" usr/sbin/mariadbd "${common[@]}" --basedir="$root/usr" --lc-messages-dir="$root/usr/share/mysql" \
    --character-sets-dir="$root/usr/share/mysql/charsets" --plugin-dir="$root/usr/lib/mysql/plugin" "$@";;
  mysql) root=$tmp/mysql-server-core-sid; in_root "$root" usr/sbin/mysqld "${common[@]}" --basedir="$root/usr" --lc-messages-dir="$root/usr/share/mysql" \
    --character-sets-dir="$root/usr/share/mysql/charsets" --plugin-dir="$root/usr/lib/mysql/plugin" --mysqlx=OFF --secure-file-priv= "$@";;
  esac; }
# install NAME: the package and an empty data directory
install() { local name=$1 share=$tmp/mariadb-server-core-bookworm/usr/share/mysql
  case $name in
  mariadb) unpack bookworm mariadb-server-core; mkdir -p "$tmp/data-$name/mysql" # what mariadb-install-db does, without its search for paths
    { printf "%s;\n" "create database if not exists mysql" "use mysql" "SET @auth_root_socket=NULL"
      cat "$share"/mysql_{system_tables,performance_tables,system_tables_data}.sql; } |
      (server $name --bootstrap --log-warnings=0 --enforce-storage-engine='') >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; };;
  mysql) unpack sid mysql-server-core; (server $name --initialize-insecure) >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; };;
  esac; }
# start NAME ARGS: listens on a socket in the temporary folder only; $pid is the server's
start() { local name=$1; shift; rm -f "$tmp/$name.sock"
  (server "$name" --skip-networking --socket="$tmp/$name.sock" --pid-file="$tmp/$name.pid" "$@" </dev/null >"$tmp/log-$name" 2>&1) & pid=$!; pids+=("$pid")
  for _ in $(seq 600); do [ -S "$tmp/$name.sock" ] && return; kill -0 $pid 2>/dev/null || break; sleep .1; done; tail "$tmp/log-$name"; exit 1; }

cd "$tmp"; export GOFLAGS=-mod=mod GOWORK=off
cat >main.go <<'GO'
package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"

	_ "github.com/go-sql-driver/mysql"
)

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

const rows = 200_000

var ctx = context.Background()

// estimate is what EXPLAIN says of the rows from a time up to another.
func estimate(c *sql.Conn, from, to int) (n int) {
	r, err := c.QueryContext(ctx, fmt.Sprintf("EXPLAIN SELECT COUNT(*) FROM due WHERE ms >= %d AND ms < %d", from, to))
	must(err)
	defer r.Close()
	names, err := r.Columns()
	must(err)
	values := make([]any, len(names))
	for i, name := range names {
		values[i] = new(any)
		if name == "rows" {
			values[i] = &n
		}
	}
	for r.Next() {
		must(r.Scan(values...))
	}
	must(r.Err())
	return n
}

func main() {
	db, err := sql.Open("mysql", "root@unix("+os.Args[1]+")/")
	must(err)
	c, err := db.Conn(ctx)
	must(err)
	for _, q := range []string{"CREATE DATABASE f", "USE f", "CREATE TABLE due (ms BIGINT PRIMARY KEY, payload BINARY(100)) ENGINE=InnoDB"} {
		_, err = c.ExecContext(ctx, q)
		must(err)
	}
	if os.Args[2] == "mysql" {
		_, err = c.ExecContext(ctx, "SET explain_format = TRADITIONAL")
		must(err)
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(rows)
	for len(order) > 0 {
		values := make([]string, 2000)
		for i := range values {
			values[i] = fmt.Sprintf("(%d, '')", order[i])
		}
		order = order[len(values):]
		_, err = c.ExecContext(ctx, "INSERT INTO due VALUES "+strings.Join(values, ","))
		must(err)
	}
	_, err = c.ExecContext(ctx, "ANALYZE TABLE due")
	must(err)
	at := func(percent int) int { return estimate(c, -1, rows*percent/100) }
	fmt.Printf("before 60, 80 and 100 %%: %d, %d, %d of %d\n", at(60), at(80), at(100), rows)
	least, most, direct := rows, -rows, 0
	for ms := 20_000; ms < 40_000; ms += 1000 {
		d := estimate(c, -1, ms+1000) - estimate(c, -1, ms)
		least, most = min(least, d), max(most, d)
		if n := estimate(c, ms, ms+1000); n >= 500 && n <= 2000 {
			direct++
		}
	}
	fmt.Printf("20 ranges of 1000 rows: differences from %d to %d; asked for itself, %d of 20 are within a factor of two\n", least, most, direct)
	fmt.Printf("%s: no more than 60 %%: %t, differences are far off: %t, ranges are right: %t\n", os.Args[2], at(60) == at(100) && at(100) <= rows*6/10, least < 0 && most >= 3000, direct == 20)
}
GO
{ go mod init finding && go get github.com/go-sql-driver/mysql@v1.10.1 && go mod tidy && go build -o main .; } >log-go 2>&1 || { cat log-go; exit 1; }
status=0
for name in mysql mariadb; do
  right=true; [ $name = mysql ] || right=false
  install $name; start $name
  out=$(./main "$tmp/$name.sock" "$name"); echo "$out"
  [ "$(echo "$out" | tail -n1)" = "$name: no more than 60 %: true, differences are far off: $right, ranges are right: $right" ] || status=1
  kill $pid; wait $pid || true
done
exit $status
