#!/usr/bin/env bash
# MySQL 9.7.4 (Debian sid), Group Replication, go-sql-driver/mysql v1.10.1: a read that waits for the group heeds wait_timeout, not its client.
#
# Guess: a SELECT under group_replication_consistency = BEFORE, on a member that does not catch up, is bounded like any SELECT: by
#        max_execution_time, or by its client, whose closed connection the server notices in the end. wait_timeout has nothing to do
#        with it: it is for how long a connection may be idle.
# Seen:  the read waits in "Executing hook on transaction begin.", before it is a statement that max_execution_time could end. It goes
#        on when its client has closed the connection, so each client that gives up and tries again leaves one more thread behind.
#        The session's wait_timeout ends the wait, with error 3797. So a client that reads with BEFORE sets wait_timeout to what it
#        is ready to wait for.
#
# A group of two. The second member's applier is held up by LOCK TABLES ... READ of the table that the first one writes.
#
# Output seen on 2026-11-29 (the script fails if that changes):
#   max_execution_time = 2000, the client closes after 6 s: context deadline exceeded
#     1 thread is left 3 s later, in "Executing hook on transaction begin."
#   wait_timeout = 3: error 3797 after 3.0 s
#   the lock is released: 1 row is there, 0 threads are left
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
  rm -rf "$state"
}
# in_root ROOT PROGRAM ARGS: with the root's own loader and libraries
in_root() { local root=$1 prog=$2 libs ld; shift 2; libs=$(find "$root/usr/lib" "$root/lib" -maxdepth 1 -name "*-linux-gnu" 2>/dev/null | paste -sd: || true)
  ld=$(find "$root/usr/lib" "$root/lib" -name "ld-linux*.so.*" -type f 2>/dev/null | head -n1 || true); exec "$ld" --argv0 "$prog" --library-path "$libs" "$root/$prog" "$@"; }
unpack sid mysql-server-core; root=$tmp/mysql-server-core-sid
mysqld() { in_root "$root" usr/sbin/mysqld --no-defaults --user="$(id -un)" --tmpdir="$tmp" --basedir="$root/usr" --lc-messages-dir="$root/usr/share/mysql" \
  --character-sets-dir="$root/usr/share/mysql/charsets" --plugin-dir="$root/usr/lib/mysql/plugin" --secure-file-priv= "$@"; }
port() { perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'; }

(mysqld --datadir="$tmp/1" --initialize-insecure --log-error="$tmp/init.log") || { cat "$tmp/init.log"; exit 1; }
cp -a "$tmp/1" "$tmp/2"; rm -f "$tmp"/[12]/auto.cnf
ports=("$(port)" "$(port)") xcom=("$(port)" "$(port)")
for i in 0 1; do
  echo "CHANGE REPLICATION SOURCE TO SOURCE_USER='root', SOURCE_PASSWORD='' FOR CHANNEL 'group_replication_recovery';" >"$tmp/$i.sql"
  (mysqld --datadir="$tmp/$((i + 1))" --server-id=$((i + 1)) --port="${ports[$i]}" --bind-address=127.0.0.1 --report-host=127.0.0.1 --socket="$tmp/$i.sock" --mysqlx=OFF \
    --log-error="$tmp/$i.log" --innodb-buffer-pool-size=64M --plugin-load-add=group_replication.so --init-file="$tmp/$i.sql" \
    --loose-group-replication-group-name=aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee --loose-group-replication-start-on-boot=OFF \
    --loose-group-replication-local-address="127.0.0.1:${xcom[$i]}" --loose-group-replication-group-seeds="127.0.0.1:${xcom[0]},127.0.0.1:${xcom[1]}" >/dev/null 2>&1) & pids+=($!)
done

cat >main.go <<'GO'
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-sql-driver/mysql"
)

var ctx = context.Background()

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// connect waits until the server of that port answers, and returns a connection of its own.
func connect(port string) *sql.Conn {
	db, err := sql.Open("mysql", "root@tcp(127.0.0.1:"+port+")/")
	must(err)
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		c, err := db.Conn(ctx)
		if err == nil {
			return c
		}
		if time.Now().After(end) {
			must(err)
		}
	}
}

func do(c *sql.Conn, stmts ...string) {
	for _, s := range stmts {
		if _, err := c.ExecContext(ctx, s); err != nil {
			must(fmt.Errorf("%s: %w", s, err))
		}
	}
}

// count is the one number that a query answers.
func count(ctx context.Context, c *sql.Conn, query string) (n int, err error) {
	err = c.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}

func online(c *sql.Conn, members int) {
	for {
		n, err := count(ctx, c, "SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE MEMBER_STATE = 'ONLINE'")
		must(err)
		if n == members {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

const (
	hook = "Executing hook on transaction begin."
	left = "SELECT COUNT(*) FROM information_schema.processlist WHERE STATE = '" + hook + "'"
	read = "SELECT COUNT(*) FROM x.b"
)

func main() {
	_ = mysql.SetLogger(&mysql.NopLogger{})
	time.AfterFunc(3*time.Minute, func() { fmt.Println("not ended in 3 minutes"); os.Exit(1) })
	first, second, locker := connect(os.Args[1]), connect(os.Args[2]), connect(os.Args[2])
	do(first, "SET GLOBAL group_replication_bootstrap_group = ON", "START GROUP_REPLICATION", "SET GLOBAL group_replication_bootstrap_group = OFF")
	online(first, 1)
	do(second, "START GROUP_REPLICATION")
	online(first, 2)
	do(first, "CREATE DATABASE x", "CREATE TABLE x.b (id INT PRIMARY KEY)")
	var version string
	must(first.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version))
	fmt.Printf("== MySQL %s, go-sql-driver/mysql v1.10.1\n", version)
	for { // until the second member has the table
		if _, err := count(ctx, locker, read); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	do(locker, "LOCK TABLES x.b READ")
	do(first, "INSERT INTO x.b VALUES (1)")

	good := true
	gives := connect(os.Args[2])
	do(gives, "SET SESSION group_replication_consistency = 'BEFORE', max_execution_time = 2000")
	short, cancel := context.WithTimeout(ctx, 6*time.Second)
	_, err := count(short, gives, read)
	cancel()
	fmt.Printf("max_execution_time = 2000, the client closes after 6 s: %v\n", err)
	time.Sleep(3 * time.Second)
	n, err2 := count(ctx, second, left)
	must(err2)
	fmt.Printf("  %d thread is left 3 s later, in %q\n", n, hook)
	good = good && errors.Is(err, context.DeadlineExceeded) && n == 1

	waits := connect(os.Args[2])
	do(waits, "SET SESSION group_replication_consistency = 'BEFORE', wait_timeout = 3")
	began := time.Now()
	_, err = count(ctx, waits, read)
	var my *mysql.MySQLError
	took := time.Since(began).Seconds()
	good = good && errors.As(err, &my) && my.Number == 3797 && took > 2 && took < 6
	if my != nil {
		fmt.Printf("wait_timeout = 3: error %d after %.1f s\n", my.Number, took)
	} else {
		fmt.Printf("wait_timeout = 3: %v after %.1f s\n", err, took)
	}

	do(locker, "UNLOCK TABLES")
	time.Sleep(3 * time.Second)
	rows, err := count(ctx, second, read)
	must(err)
	n, err = count(ctx, second, left)
	must(err)
	fmt.Printf("the lock is released: %d row is there, %d threads are left\n", rows, n)
	if !good || rows != 1 || n != 0 {
		fmt.Println("NOT as described")
		os.Exit(1)
	}
	fmt.Println("as described")
}
GO
go mod init finding >/dev/null 2>&1; go get github.com/go-sql-driver/mysql@v1.10.1 >/dev/null 2>&1; go build -o prog .
./prog "${ports[@]}" || { tail -n 5 "$tmp"/[01].log; exit 1; }
