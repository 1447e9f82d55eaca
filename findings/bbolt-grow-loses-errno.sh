#!/usr/bin/env bash
# go.etcd.io/bbolt v1.5.0 (the version in go.mod) on Linux, Go 1.26.8: a file that cannot grow loses the operating system's error.
#
# Guess: when a transaction fails because the file cannot get larger, errors.Is(err, syscall.EFBIG) or ENOSPC is true, so a program
#        can tell a full disk from other errors.
# Seen:  that is true only if the write of a page fails. Commit first grows the file (db.grow), and grow formats the error of Truncate
#        with %s, not with %w. The number of the system's error and the *fs.PathError are lost, and only the text is left. With
#        NoGrowSync grow does not touch the file, and the same transaction under the same limit keeps its error. The source does the
#        same to the error of Sync ("file sync error: "); this script does not run that. A program that looks for a full disk must
#        compare those texts too.
#
# A limit on the size of files (RLIMIT_FSIZE) of the Go process takes the place of a full disk; the process ignores SIGXFSZ.
#
# Output seen on 2026-11-29 (the script fails if the two answers or the success of a later attempt change):
#   1 MiB, limit 256 KiB:          EFBIG false PathError false "file resize error: truncate a: file too large"
#   1 MiB, 256 KiB, NoGrowSync:    EFBIG true  PathError true  "write b: file too large"
#   2 bytes, limit 1 byte:         EFBIG true  PathError true  "write c: file too large"
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
cd "$tmp"; export GOFLAGS=-mod=mod GOWORK=off
cat >main.go <<'GO'
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// limit sets the size up to which this process can write a file.
func limit(bytes uint64) {
	var l syscall.Rlimit
	must(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l))
	l.Cur = min(bytes, l.Max)
	must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l))
}

var wrong bool

// put stores value bytes under one key while no file can be larger than bytes, and compares the error with what the header says.
func put(name, file string, opt bolt.Options, bytes uint64, value int, keeps bool) {
	db, err := bolt.Open(file, 0o600, &opt)
	must(err)
	set := func(n int) error {
		return db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return b.Put([]byte("k"), make([]byte, n))
		})
	}
	must(set(1))
	limit(bytes)
	err = set(value)
	limit(1 << 62)
	var path *fs.PathError
	is, as := errors.Is(err, syscall.EFBIG), errors.As(err, &path)
	fmt.Printf("%-30s EFBIG %-5v PathError %-5v %q\n", name, is, as, fmt.Sprint(err))
	wrong = wrong || err == nil || is != keeps || as != keeps
	must(set(value)) // the database works again once there is room
	must(db.Close())
}

func main() {
	signal.Ignore(syscall.SIGXFSZ)
	put("1 MiB, limit 256 KiB:", "a", bolt.Options{}, 256<<10, 1<<20, false)
	put("1 MiB, 256 KiB, NoGrowSync:", "b", bolt.Options{NoGrowSync: true}, 256<<10, 1<<20, true)
	put("2 bytes, limit 1 byte:", "c", bolt.Options{}, 1, 2, true)
	if wrong {
		fmt.Println("NOT as described")
		os.Exit(1)
	}
	fmt.Println("as described")
}
GO
{ go mod init findings; go mod edit -go=1.25.0; go get go.etcd.io/bbolt@v1.5.0; } >log 2>&1 || { cat log; exit 1; }
go build -o try . >log 2>&1 || { cat log; exit 1; }
./try
