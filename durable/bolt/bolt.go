// Package bolt is the embedded durable.Store: one bbolt file, for one process. It
// survives kill -9 of its process and the crash of its machine.
package bolt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/internal/coalesce"
	"github.com/triggerhook/triggerhook/task"
)

// Options of Open.
type Options struct {
	Namespace string // task.DefaultNamespace if empty; a file may hold several, of which one is open at a time
	// NoFlush is for tests: commits are not flushed to disk, which makes them many times faster. They survive kill -9 of the
	// process, but a crash of the machine may lose them all, and the file too.
	NoFlush bool
}

// Store keeps the rows of a namespace in a file: one bucket holds the rows in the
// order (due, id), another the key of each id. Concurrent writes share a commit,
// and each commit is flushed to disk.
type Store struct {
	db     *bbolt.DB
	file   os.FileInfo // in openFiles
	ns     string
	writes coalesce.Group[func(*bbolt.Tx) error, struct{}]

	recorded sync.Map // names of what was recorded since the file was opened
}

var _ durable.Store = (*Store)(nil)

// lockWait is how long Open waits for a file that another process has open.
const lockWait = time.Second

// flights is 1: bbolt has one writer.
const flights = 1

// Open opens or makes the file at path and locks it until Close. ErrUnavailable:
// another process has it open, and has not closed it within a second. ErrInvalid: bad
// options, or this process has it open, by this path or another one; Open returns that at once.
func Open(path string, o Options) (*Store, error) {
	if o.Namespace == "" {
		o.Namespace = task.DefaultNamespace
	}
	err := task.CheckNamespace(o.Namespace)
	if path == "" {
		err = errors.Join(err, fmt.Errorf("%w: path is empty", task.ErrInvalid))
	}
	if err != nil {
		return nil, fmt.Errorf("open bolt store: %w", err)
	}
	_, absent := os.Stat(path)
	s := &Store{ns: o.Namespace}
	if err := s.open(path, o.NoFlush); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if absent != nil { // a new file is safe only once its folder is flushed
		if err := syncDir(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("open %s: %w", path, errors.Join(err, s.Close()))
		}
	}
	s.writes = coalesce.Group[func(*bbolt.Tx) error, struct{}]{Parallel: flights, Flush: s.flush}
	return s, nil
}

// open opens and locks the file. bbolt calls OpenFile once, before it waits for the lock.
func (s *Store) open(path string, noFlush bool) (err error) {
	opening := func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		f, s.file, err = openFiles.open(name, flag, mode)
		return f, err
	}
	s.db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType, OpenFile: opening, NoSync: noFlush})
	if err != nil {
		openFiles.forget(s.file)
	}
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("%w: another process has it open", task.ErrUnavailable)
	}
	return err
}

// Close unlocks the file. No call may be under way.
func (s *Store) Close() error {
	defer openFiles.forget(s.file)
	return s.db.Close()
}

// Namespace implements durable.Store.
func (s *Store) Namespace() string { return s.ns }

// flush runs many writes in one commit. A write looks before it changes anything, so a
// write that fails has changed nothing, and the others are still committed.
func (s *Store) flush(writes []func(*bbolt.Tx) error) []coalesce.Result[struct{}] {
	res := make([]coalesce.Result[struct{}], len(writes))
	committing := false
	err := s.db.Update(func(tx *bbolt.Tx) error {
		for i, w := range writes {
			res[i].Err = w(tx)
			var broken *brokenError
			if errors.As(res[i].Err, &broken) {
				return res[i].Err
			}
		}
		committing = true
		return nil
	})
	if err != nil && committing {
		err = &commitError{err}
	}
	if err != nil {
		for i := range res {
			res[i].Err = err
		}
	}
	return res
}

func (s *Store) write(ctx context.Context, act string, w func(*bbolt.Tx) error) error {
	if _, err := s.writes.Do(ctx, w); err != nil {
		return fmt.Errorf("%s: %w", act, typed(err))
	}
	return nil
}

func (s *Store) view(ctx context.Context, act string, r func(*table) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", act, err)
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		t, err := s.table(tx)
		if err != nil {
			return err
		}
		return r(t)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", act, typed(err))
	}
	return nil
}

// table is the buckets of a namespace.
type table struct {
	rows *bbolt.Bucket // key (due, id) -> row
	ids  *bbolt.Bucket // id -> key
	prev *bbolt.Bucket // id -> previous version, of rows that were moved
	meta *bbolt.Bucket

	expires *bbolt.Bucket // id -> when it expires, and created_ms of the row that this is about, of rows that expire
	dead    *bbolt.Bucket // key (dead, id, ver) -> dead letter
	deadIDs *bbolt.Bucket // key (id, ver) of dead letters -> dead
}

var buckets = []string{"task", "id", "prev", "meta", "expires", "dead", "deadid"}

func (s *Store) name(what string) []byte { return []byte(s.ns + "_" + what) }

func (s *Store) table(tx *bbolt.Tx) (*table, error) {
	t := &table{rows: tx.Bucket(s.name("task")), ids: tx.Bucket(s.name("id")), prev: tx.Bucket(s.name("prev")), meta: tx.Bucket(s.name("meta")),
		expires: tx.Bucket(s.name("expires")), dead: tx.Bucket(s.name("dead")), deadIDs: tx.Bucket(s.name("deadid"))}
	if t.rows == nil || t.ids == nil || t.prev == nil || t.meta == nil {
		return nil, fmt.Errorf("%w: namespace %q is not in the file", task.ErrNotMigrated, s.ns)
	}
	if t.expires == nil || t.dead == nil || t.deadIDs == nil {
		return nil, fmt.Errorf("%w: an older version of this library has made namespace %q of the file", task.ErrNotMigrated, s.ns)
	}
	return t, nil
}

// format is the format of the file. The file also records the oldest format whose library reads and
// writes the file as it is ("compatible"), as the schema of durable.MySQL does: a library of an older format opens a newer
// file if "compatible" allows it, and leaves both records as they are.
const (
	format     = 3
	compatible = 3
)

// checkFormat reports whether this library works with the file.
func checkFormat(meta *bbolt.Bucket) error {
	is, err := strconv.Atoi(string(meta.Get([]byte("format"))))
	if err != nil || is < format {
		return fmt.Errorf("%w: the file has format %q, this library works with %d and later ones that are compatible with it",
			task.ErrRefused, meta.Get([]byte("format")), format)
	}
	if is == format {
		return nil
	}
	oldest, err := strconv.Atoi(string(meta.Get([]byte("compatible"))))
	if err != nil || oldest < 1 || oldest > format {
		return fmt.Errorf("%w: the file has format %d, which works with libraries of format %q and later; this library has format %d",
			task.ErrRefused, is, meta.Get([]byte("compatible")), format)
	}
	return nil
}

// Migrate implements durable.Store.
func (s *Store) Migrate(ctx context.Context, partitions int) error {
	err := s.write(ctx, "migrate", func(tx *bbolt.Tx) error {
		if meta := tx.Bucket(s.name("meta")); meta != nil && meta.Get([]byte("format")) != nil {
			if err := checkFormat(meta); err != nil {
				return err // before anything is changed
			}
		}
		for _, what := range buckets {
			if _, err := tx.CreateBucketIfNotExists(s.name(what)); err != nil {
				return &brokenError{err}
			}
		}
		t, err := s.table(tx)
		if err != nil {
			return err
		}
		for name, value := range map[string]string{"partitions": strconv.Itoa(partitions), "format": strconv.Itoa(format),
			"compatible": strconv.Itoa(compatible), task.RecordIdentity: rand.Text()} {
			if t.meta.Get([]byte(name)) != nil {
				continue
			}
			if err := t.meta.Put([]byte(name), []byte(value)); err != nil {
				return &brokenError{err}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.Check(ctx, partitions)
}

// Check implements durable.Store.
func (s *Store) Check(ctx context.Context, partitions int) error {
	return s.view(ctx, "check", func(t *table) error {
		if err := checkFormat(t.meta); err != nil {
			return err
		}
		if p := t.meta.Get([]byte("partitions")); string(p) != strconv.Itoa(partitions) {
			return fmt.Errorf("%w: namespace %q has %s partitions, this process was made with %d", task.ErrMismatch, s.ns, p, partitions)
		}
		if t.meta.Get([]byte(task.RecordIdentity)) == nil {
			return fmt.Errorf("%w: namespace %q has no identity: an older version of this library has migrated it", task.ErrNotMigrated, s.ns)
		}
		return nil
	})
}

// Create implements durable.Store.
func (s *Store) Create(ctx context.Context, rows []task.Row) error {
	own, err := owned(rows)
	if err != nil {
		return fmt.Errorf("create %d tasks: %w", len(rows), err)
	}
	return s.write(ctx, fmt.Sprintf("create %d tasks", len(rows)), func(tx *bbolt.Tx) error {
		t, err := s.table(tx)
		if err != nil {
			return err
		}
		var taken []string
		var missing []task.Row
		for _, r := range own {
			old, ok, err := t.get(r.ID)
			switch {
			case err != nil:
				return err
			case !ok:
				missing = append(missing, r)
			case old.Ver != r.Ver:
				taken = append(taken, r.ID)
			}
		}
		if len(taken) > 0 {
			return &task.IDError{Exists: taken}
		}
		for _, r := range missing {
			if err := t.put(r); err != nil {
				return &brokenError{err}
			}
		}
		return nil
	})
}

// Delete implements durable.Store.
func (s *Store) Delete(ctx context.Context, refs []task.Ref) ([]bool, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	return s.delete(ctx, refs, nil)
}

func (s *Store) delete(ctx context.Context, refs []task.Ref, history *keeper) ([]bool, error) {
	own := slices.Clone(refs)
	deleted := make([]bool, len(own))
	err := s.write(ctx, fmt.Sprintf("delete %d tasks", len(refs)), func(tx *bbolt.Tx) error {
		t, err := s.table(tx)
		if err != nil {
			return err
		}
		for i, ref := range own {
			r, ok, err := t.get(ref.ID)
			if err != nil {
				return &brokenError{err} // others before it may be gone
			}
			if ok && r.Ver == ref.Ver {
				if err := errors.Join(history.keep(s, tx, i, r), t.remove(r)); err != nil {
					return &brokenError{err}
				}
				deleted[i] = true
			}
		}
		return nil
	})
	if err != nil {
		var maybe []task.Ref
		for i, ref := range own {
			if commitFailed(err) && deleted[i] {
				maybe = append(maybe, ref)
			}
		}
		return nil, doubtful(maybe, err)
	}
	return deleted, nil
}

// DeleteByID implements durable.Store. It reads all rows.
func (s *Store) DeleteByID(ctx context.Context, ids []string, _ int64) ([]task.Row, error) {
	return s.deleteByID(ctx, ids, nil)
}

func (s *Store) deleteByID(ctx context.Context, ids []string, history *keeper) ([]task.Row, error) {
	own := slices.Clone(ids)
	var deleted []task.Row
	err := s.write(ctx, fmt.Sprintf("delete %d tasks by id", len(ids)), func(tx *bbolt.Tx) error {
		t, err := s.table(tx)
		if err != nil {
			return err
		}
		for i, id := range own {
			r, ok, err := t.get(id)
			if err == nil && ok {
				err = errors.Join(history.keep(s, tx, i, r), t.remove(r))
			}
			if err != nil {
				return &brokenError{err} // others before it may be gone
			}
			if r.Payload, r.Headers = nil, ""; ok {
				deleted = append(deleted, r)
			}
		}
		return nil
	})
	if commitFailed(err) {
		return nil, doubtful(task.Versions(deleted), err)
	}
	if err != nil {
		return nil, err
	}
	return deleted, nil
}

// Advance implements durable.Store. A row that was deleted is not read again, so there is no
// low bound to keep.
func (s *Store) Advance(ctx context.Context, _ int64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("advance: %w", err)
	}
	return nil
}

// Count implements durable.Store. It reads no row, and its estimate is the number
// itself: the sequence of the bucket of ids counts them.
func (s *Store) Count(ctx context.Context, limit int) (n int64, exact bool, err error) {
	err = s.view(ctx, "count tasks", func(t *table) error {
		n = int64(t.ids.Sequence())
		return nil
	})
	return n, n <= int64(limit), err
}
