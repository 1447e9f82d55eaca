#!/usr/bin/env bash
# The event scheduler of MySQL 9.7.4 (Debian sid) and MariaDB 10.11.18 (Debian bookworm): CREATE EVENT ... AT runs up to a second early.
#
# Guess: an event runs at its time or later. AT takes a TIMESTAMP or DATETIME, and the manual says of the resolution of event timings
#        that events may be delayed by as much as 1 or 2 seconds; it names nothing that makes them early.
# Seen:  the fraction of AT's second is cut off, not rounded up, and there is no warning: EXECUTE_AT is stored without it. An event
#        AT ...:10.900 runs at about ...:10.0. (So the rest of a second that was added to a due time, NOW(3) + INTERVAL 5 MINUTE for
#        example, is lost: an action that must not come before its time, such as the end of a hold, comes before it.)
#
# Output seen on 2026-11-29 (the script fails if it changes):
#   9.7.4-2                      warnings 0, stored fraction 000000, ran early at least once of five times: true
#   10.11.18-MariaDB-0+deb12u1   warnings 0, stored fraction 000000, ran early at least once of five times: true
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
	"os"
	"time"

	_ "github.com/go-sql-driver/mysql"
)

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

var ctx = context.Background()

// text is the only value of a query.
func text(c *sql.Conn, q string) (s string) {
	must(c.QueryRowContext(ctx, q).Scan(&s))
	return s
}

// run executes a statement, and returns how many warnings it left.
func run(c *sql.Conn, q string) (warnings string) {
	_, err := c.ExecContext(ctx, q)
	must(err)
	return text(c, "SELECT @@warning_count")
}

func main() {
	db, err := sql.Open("mysql", "root@unix("+os.Args[1]+")/")
	must(err)
	c, err := db.Conn(ctx)
	must(err)
	run(c, "CREATE DATABASE f")
	run(c, "USE f")
	run(c, "CREATE TABLE ran (name VARCHAR(10), at DATETIME(6))")
	run(c, "SET GLOBAL event_scheduler = ON")
	warned, stored, early := "0", "000000", 0
	for i := range 5 { // five, because one may come late
		at := text(c, fmt.Sprintf("SELECT DATE_FORMAT(SYSDATE() + INTERVAL %d SECOND, '%%Y-%%m-%%d %%H:%%i:%%s.900')", 4+i))
		name := fmt.Sprintf("early%d", i)
		warned = max(warned, run(c, "CREATE EVENT "+name+" ON SCHEDULE AT '"+at+"' DO INSERT INTO f.ran VALUES ('"+name+"', SYSDATE(6))"))
		stored = max(stored, text(c, "SELECT DATE_FORMAT(EXECUTE_AT, '%f') FROM information_schema.events WHERE EVENT_NAME = '"+name+"'"))
		for text(c, "SELECT COUNT(*) FROM ran WHERE name = '"+name+"'") == "0" {
			time.Sleep(100 * time.Millisecond)
		}
		if text(c, "SELECT at < '"+at+"' FROM ran WHERE name = '"+name+"'") == "1" {
			early++
		}
	}
	fmt.Printf("%-28s warnings %s, stored fraction %s, ran early at least once of five times: %v\n", text(c, "SELECT VERSION()"), warned, stored, early > 0)
	if warned != "0" || stored != "000000" || early == 0 {
		os.Exit(1)
	}
}
GO
{ go mod init findings; go mod edit -go=1.25.0; go get github.com/go-sql-driver/mysql@v1.10.1; go build -o try main.go; } >log 2>&1 || { cat log; exit 1; }

bad=0
for name in mysql mariadb; do
  install $name
  start $name --event-scheduler=ON; ./try "$tmp/$name.sock" || bad=1; kill "$pid"; wait "$pid" || true; pids=()
done
[ $bad = 0 ] && echo "as described" || { echo "NOT as described"; exit 1; }
