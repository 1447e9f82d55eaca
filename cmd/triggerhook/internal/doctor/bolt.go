package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/triggerhook/triggerhook/durable"
)

// Bolt examines the file of the embedded store, before a Store opens it. Free reports whether the file can be opened.
func Bolt(path string) (all []Finding, free bool) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return []Finding{{"bolt.file", Error, path + " does not exist", "There are no tasks.", "Check --store, or run: triggerhook migrate"}}, false
	}
	if err != nil {
		return []Finding{failed("bolt.file", "The file cannot be read.", "Check --store, and the rights of its folder.", err)}, false
	}
	all = []Finding{mode(info), space(filepath.Dir(path), info.Size())}
	inside, free := insideBolt(path)
	return append(all, inside...), free
}

func mode(info fs.FileInfo) Finding {
	f := Finding{Check: "bolt.mode", Status: OK, Seen: info.Mode().Perm().String()}
	if info.Mode().Perm()&0o077 != 0 {
		f.Status, f.Means, f.Mend = Warning, "Other users of the machine may read or change tasks and payloads.", "chmod 600 "+info.Name()
	}
	return f
}

// space compares what the disk has left with the file.
func space(dir string, size int64) Finding {
	const check, least = "bolt.space", 256 << 20
	left, err := freeBytes(dir)
	if err != nil {
		return unread(check, err)
	}
	f := Finding{Check: check, Status: OK, Seen: fmt.Sprintf("the file has %s, the disk %s left", mebibytes(size), mebibytes(left))}
	if left < max(least, size/10) {
		f.Status, f.Means, f.Mend = Warning, "On a full disk Create returns ErrDiskFull, and confirms wait.", "Make room; deleted tasks give room back inside of the file alone."
	}
	return f
}

// insideBolt looks into the file: whether another process has it, how much of it is free, and whether its pages are sound.
func insideBolt(path string) (all []Finding, free bool) {
	const check = "bolt.lock"
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: 2 * time.Second, PreLoadFreelist: true})
	if errors.Is(err, berrors.ErrTimeout) {
		return []Finding{{check, Warning, "another process has the file open", "Its inside could not be checked, and other commands end with exit code 6.",
			"Stop the worker that has it, and run doctor again."}}, false
	}
	if err != nil {
		return []Finding{failed("bolt.pages", "The file cannot be opened.", "Check the rights of the file; otherwise restore it from a backup.", err)}, false
	}
	all = append(all, Finding{Check: check, Status: OK, Seen: "no other process has the file open"})
	err = db.View(func(tx *bbolt.Tx) error {
		all = append(all, fragmentation(db, tx), pages(tx))
		return nil
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return append(all, failed("bolt.pages", "The file cannot be read.", "Restore it from a backup.", err)), false
	}
	return all, Worst(all) != Error
}

func fragmentation(db *bbolt.DB, tx *bbolt.Tx) Finding {
	unused, size := int64(db.Stats().FreePageN)*int64(db.Info().PageSize), tx.Size()
	f := Finding{Check: "bolt.size", Status: OK, Seen: fmt.Sprintf("%s, of which %s are free pages", mebibytes(size), mebibytes(unused))}
	if size > 256<<20 && unused > size/4*3 {
		f.Status, f.Means = Warning, "The file has grown in a burst; free pages are used again, and do not go back to the disk."
		f.Mend = "To have the room back: triggerhook export, and import into a new file."
	}
	return f
}

// pages has bbolt check that each page is reachable or free, and not both.
func pages(tx *bbolt.Tx) Finding {
	f := Finding{Check: "bolt.pages", Status: OK, Seen: "each page is in use or free"}
	for err := range tx.Check() {
		if f.Status == OK {
			f = failed("bolt.pages", "The file is damaged: tasks may be missing.", "triggerhook export what can be read, and restore a backup.", err)
		}
	}
	return f
}

// Format asks the embedded store whether this library can work with its file.
func Format(ctx context.Context, store durable.Store, partitions int) Finding {
	const check = "bolt.format"
	if err := store.Check(ctx, partitions); err != nil {
		return failed(check, "Workers with this setting do not start.", "Run: triggerhook migrate; or use the version and the --partitions of the workers.", err)
	}
	return Finding{Check: check, Status: OK, Seen: "this version works with the file"}
}
