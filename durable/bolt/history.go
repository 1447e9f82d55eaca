package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/task"
)

// The history has a bucket of its own: key (slot, id, ended, ver). The first task whose history is kept makes the bucket, so that a file without
// history is as it was, and an older version of this library goes on with a file that has some.

var _ durable.Historian = (*Store)(nil)

// doneKey orders by slot, then by the id's bytes, then by time, then by version. No id contains NUL.
func doneKey(e task.Ending) []byte {
	key := append(donePrefix(e.Slot(), e.ID), 0)
	key = binary.BigEndian.AppendUint64(key, uint64(e.EndedMS))
	return appendVer(key, e.Ver)
}

func donePrefix(slot int64, id string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(slot)), id...)
}

// doneRow is what is kept of a task, as it is stored.
func doneRow(e task.Ending) []byte {
	v := []byte{byte(e.How)}
	for _, n := range []int64{e.DueMS, e.CreatedMS, e.DeliveredMS, int64(e.Attempt)} {
		v = binary.BigEndian.AppendUint64(v, uint64(n))
	}
	for _, text := range []string{e.Worker, e.Reason, e.LastError} {
		v = append(binary.BigEndian.AppendUint16(v, uint16(len(text))), text...) // each has a bound below 64 KiB
	}
	return v
}

const (
	doneHeader   = 1 + 4*8           // bytes of the numbers of one task's history
	doneKeyLeast = 4 + 1 + 1 + 8 + 8 // bytes of the key of an id of one byte
)

// decodeDone reads what is kept of a task.
func decodeDone(k, v []byte) (e task.Ending, err error) {
	if len(k) < doneKeyLeast || len(v) < doneHeader {
		return e, fmt.Errorf("the file is damaged: history %q has %d bytes, at least %d are due", k, len(v), doneHeader)
	}
	e.ID = string(k[4 : len(k)-17])
	e.EndedMS, e.Ver = int64(binary.BigEndian.Uint64(k[len(k)-16:])), keyVer(k)
	e.How = task.EndKind(v[0])
	v = v[1:]
	var n [4]int64
	for i := range n {
		n[i], v = int64(binary.BigEndian.Uint64(v)), v[8:]
	}
	e.DueMS, e.CreatedMS, e.DeliveredMS, e.Attempt = n[0], n[1], n[2], int(n[3])
	for _, text := range []*string{&e.Worker, &e.Reason, &e.LastError} {
		if len(v) < 2 || len(v) < 2+int(binary.BigEndian.Uint16(v)) {
			return e, fmt.Errorf("the file is damaged: history %q ends within its texts", k)
		}
		end := 2 + int(binary.BigEndian.Uint16(v))
		*text, v = string(v[2:end]), v[end:]
	}
	return e, nil
}

// keeper writes history in one transaction; a nil keeper writes none.
type keeper struct {
	ends []task.Ending
	done *bbolt.Bucket // nil until the first task is kept
}

// keep writes what the i-th Ending says of r, which is about to be removed.
func (k *keeper) keep(s *Store, tx *bbolt.Tx, i int, r task.Row) (err error) {
	if k == nil || k.ends[i].How == 0 {
		return nil
	}
	if k.done == nil {
		if k.done, err = tx.CreateBucketIfNotExists(s.name("done")); err != nil {
			return err
		}
	}
	e := r.EndedAs(k.ends[i])
	return k.done.Put(doneKey(e), doneRow(e))
}

// newKeeper returns a keeper of own copies, or the error of the first Ending that breaks a rule.
func newKeeper(ends []task.Ending) (*keeper, error) {
	for _, e := range ends {
		if err := e.Check(); err != nil {
			return nil, err
		}
	}
	return &keeper{ends: slices.Clone(ends)}, nil
}

// End implements durable.Historian.
func (s *Store) End(ctx context.Context, ends []task.Ending) ([]bool, error) {
	k, err := newKeeper(ends)
	if err != nil || len(ends) == 0 {
		return nil, err
	}
	refs := make([]task.Ref, len(ends))
	for i, e := range ends {
		refs[i] = e.Ref
	}
	return s.delete(ctx, refs, k)
}

// EndByID implements durable.Historian.
func (s *Store) EndByID(ctx context.Context, ends []task.Ending) ([]task.Row, error) {
	k, err := newKeeper(ends)
	if err != nil || len(ends) == 0 {
		return nil, err
	}
	ids := make([]string, len(ends))
	for i, e := range ends {
		ids[i] = e.ID
	}
	return s.deleteByID(ctx, ids, k)
}

// EndDead implements durable.Historian.
func (s *Store) EndDead(ctx context.Context, burials []task.Burial, ends []task.Ending) ([]bool, error) {
	k, err := newKeeper(ends)
	if err == nil && len(ends) != len(burials) {
		err = fmt.Errorf("%w: %d endings for %d burials, want one for each", task.ErrInvalid, len(ends), len(burials))
	}
	if err != nil {
		return nil, fmt.Errorf("bury %d tasks: %w", len(burials), err)
	}
	return s.buryAll(ctx, burials, k)
}

// viewDone reads the history. Without a bucket there is none.
func (s *Store) viewDone(ctx context.Context, act string, r func(*bbolt.Cursor) error) error {
	return s.view(ctx, act, func(t *table) error {
		if done := t.rows.Tx().Bucket(s.name("done")); done != nil {
			return r(done.Cursor())
		}
		return nil
	})
}

// History implements durable.Historian. It looks the id up in each slot from the last to the first.
func (s *Store) History(ctx context.Context, id string, limit int) (all []task.Ending, err error) {
	err = s.viewDone(ctx, fmt.Sprintf("read the history of task %q", id), func(c *bbolt.Cursor) error {
		last, _ := c.Last()
		for len(last) >= doneKeyLeast && len(all) < limit {
			slot := int64(binary.BigEndian.Uint32(last))
			all, err = appendDone(all, c, append(donePrefix(slot, id), 0), limit)
			if err != nil {
				return err
			}
			c.Seek(donePrefix(slot, ""))
			last, _ = c.Prev()
		}
		return nil
	})
	return all, err
}

// appendDone appends what has this prefix, which ends in the NUL after an id, the newest first, up to limit in all.
func appendDone(all []task.Ending, c *bbolt.Cursor, prefix []byte, limit int) ([]task.Ending, error) {
	after := slices.Clone(prefix)
	after[len(after)-1] = 1 // in place of that NUL: above all keys of this id
	var k, v []byte
	if next, _ := c.Seek(after); next == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	for ; bytes.HasPrefix(k, prefix) && len(all) < limit; k, v = c.Prev() {
		e, err := decodeDone(k, v)
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
	return all, nil
}

// PurgeHistory implements durable.Historian.
func (s *Store) PurgeHistory(ctx context.Context, beforeMS int64, most int) (total int, err error) {
	end := donePrefix(beforeMS/task.SlotMS, "")
	for n := purgeRows; n == purgeRows && total < most; total += n {
		var old [][]byte
		err := s.viewDone(ctx, "purge the history", func(c *bbolt.Cursor) error {
			for k, _ := c.First(); k != nil && bytes.Compare(k, end) < 0 && len(old) < min(purgeRows, most-total); k, _ = c.Next() {
				old = append(old, slices.Clone(k))
			}
			return nil
		})
		if n = len(old); err != nil || n == 0 {
			return total, err
		}
		if err := s.write(ctx, "purge the history", func(tx *bbolt.Tx) error { return deleteKeys(tx.Bucket(s.name("done")), old) }); err != nil {
			return total, err
		}
	}
	return total, nil
}

func deleteKeys(b *bbolt.Bucket, keys [][]byte) error {
	var err error
	for _, k := range keys {
		err = errors.Join(err, b.Delete(k))
	}
	if err != nil {
		return &brokenError{err}
	}
	return nil
}
