package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math"

	"go.etcd.io/bbolt"

	"github.com/triggerhook/triggerhook/task"
)

// answer is what a read returns: copies of rows, because the memory of the file is valid only during
// the transaction.
type answer struct {
	rows []task.Row
	held int // bytes of payloads
}

// add adds a row. It leaves out its payload and headers if they are longer than inline, or if the answer has no
// room left for them.
func (a *answer) add(r task.Row, inline int) {
	if r.Size > inline || len(a.rows) > 0 && a.held+r.Size > task.MostBytes {
		r.Payload, r.Headers = nil, ""
	}
	r.Payload = bytes.Clone(r.Payload)
	a.held += r.Bytes()
	a.rows = append(a.rows, r)
}

// Get implements durable.Store.
func (s *Store) Get(ctx context.Context, ids []string) ([]task.Row, error) {
	var all answer
	err := s.view(ctx, "get tasks", func(t *table) error {
		for _, id := range ids {
			r, ok, err := t.get(id)
			if err != nil {
				return err
			}
			if ok {
				all.add(r, math.MaxInt)
			}
		}
		return nil
	})
	return all.rows, err
}

// Versions implements durable.Store.
func (s *Store) Versions(ctx context.Context, ids []string) (refs []task.Ref, err error) {
	err = s.view(ctx, "find versions", func(t *table) error {
		for _, id := range ids {
			r, ok, err := t.get(id)
			if err != nil {
				return err
			}
			if ok {
				refs = append(refs, r.Ref)
			}
		}
		return nil
	})
	return refs, err
}

// Scan implements durable.Store.
func (s *Store) Scan(ctx context.Context, after task.Cursor, belowMS int64, limit, inline int) ([]task.Row, error) {
	var all answer
	err := s.view(ctx, "scan tasks", func(t *table) error {
		from := rowKey(after.NextMS, after.ID)
		c := t.rows.Cursor()
		for k, v := c.Seek(from); k != nil && len(all.rows) < limit; k, v = c.Next() {
			if bytes.Equal(k, from) && after.ID != "" {
				continue
			}
			r, err := t.decode(k, v)
			if err != nil {
				return err
			}
			if r.NextMS >= belowMS {
				break
			}
			all.add(r, inline)
		}
		return nil
	})
	return all.rows, err
}

// CountBefore implements durable.Store. It walks through the rows, and counts exactly up to limit or 1,000,000, whichever is more.
// Above that its estimate is the number of all rows of the file.
func (s *Store) CountBefore(ctx context.Context, fromMS int64, beforeMS []int64, limit int) ([]task.Count, error) {
	most := max(int64(limit), exactRows)
	all := make([]task.Count, len(beforeMS))
	err := s.view(ctx, "count tasks before a time", func(t *table) error {
		c := t.rows.Cursor()
		k, _ := c.Seek(rowKey(max(0, fromMS), ""))
		var n int64
		for i, ms := range beforeMS {
			end := rowKey(max(0, ms), "")
			for ; k != nil && bytes.Compare(k, end) < 0 && n <= most; k, _ = c.Next() {
				if n++; n%10_000 == 0 && ctx.Err() != nil {
					return ctx.Err()
				}
			}
			if all[i] = (task.Count{N: n, Exact: n <= most}); n > most {
				all[i].N = int64(t.ids.Sequence())
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// exactRows is up to how many rows CountBefore walks through in any case.
const exactRows = 1_000_000

// ScanDown implements durable.Store.
func (s *Store) ScanDown(ctx context.Context, before task.Cursor, fromMS int64, limit, inline int) ([]task.Row, error) {
	var all answer
	err := s.view(ctx, "scan tasks", func(t *table) error {
		c := t.rows.Cursor()
		for k, v := seekBefore(c, rowKey(before.NextMS, before.ID)); k != nil && len(all.rows) < limit; k, v = c.Prev() {
			r, err := t.decode(k, v)
			if err != nil {
				return err
			}
			if r.NextMS < fromMS {
				break
			}
			all.add(r, inline)
		}
		return nil
	})
	return all.rows, err
}

// seekBefore moves c to the last key that is less than end.
func seekBefore(c *bbolt.Cursor, end []byte) (k, v []byte) {
	if k, _ = c.Seek(end); k == nil {
		return c.Last()
	}
	return c.Prev()
}

// lookRows is at how many rows one call looks at most.
const lookRows = 20_000

// ScanIDs implements durable.Store.
func (s *Store) ScanIDs(ctx context.Context, r task.Range, after string, limit, inline int) (page task.IDPage, err error) {
	var all answer
	err = s.view(ctx, "scan tasks", func(t *table) error {
		looked := 0
		for id, key := range t.idsAfter(r.IDPrefix, after) {
			if page.More = looked == lookRows || len(all.rows) == limit; page.More {
				break
			}
			looked, page.Next = looked+1, string(id)
			at, err := placeOf(key)
			if err != nil {
				return err
			}
			if at.NextMS < r.FromMS || at.NextMS >= r.BelowMS {
				continue
			}
			row, err := t.decode(key, t.rows.Get(key))
			if err != nil {
				return err
			}
			all.add(row, inline)
		}
		return nil
	})
	page.Rows = all.rows
	return page, err
}

// idsAfter yields the IDs of a prefix that are greater than after, with the keys of their rows.
func (t *table) idsAfter(prefix, after string) iter.Seq2[[]byte, []byte] {
	return func(yield func(id, key []byte) bool) {
		c := t.ids.Cursor()
		for id, key := c.Seek([]byte(max(prefix, after))); bytes.HasPrefix(id, []byte(prefix)); id, key = c.Next() {
			if id == nil || string(id) > after && !yield(id, key) {
				return
			}
		}
	}
}

// CountPage implements durable.Store.
func (s *Store) CountPage(ctx context.Context, r task.Range, after task.Cursor) (page task.CountPage, err error) {
	err = s.view(ctx, "count tasks", func(t *table) error {
		looked := 0
		for key := range t.keysOf(r, after) {
			if page.More = looked == lookRows; page.More {
				break
			}
			at, err := placeOf(key)
			if err != nil {
				return err
			}
			looked, page.Next = looked+1, at
			if at.NextMS >= r.FromMS && at.NextMS < r.BelowMS && (r.NotMS == 0 || at.NextMS != r.NotMS) {
				page.N++
			}
		}
		return nil
	})
	return page, err
}

// keysOf yields the keys of the rows after a cursor: of the prefix of r, or else of its time.
func (t *table) keysOf(r task.Range, after task.Cursor) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if r.IDPrefix != "" {
			for _, key := range t.idsAfter(r.IDPrefix, after.ID) {
				if !yield(key) {
					return
				}
			}
			return
		}
		if after.NextMS < r.FromMS {
			after = task.Cursor{NextMS: r.FromMS}
		}
		first, end := rowKey(after.NextMS, after.ID), rowKey(max(0, r.BelowMS), "")
		c := t.rows.Cursor()
		for k, _ := c.Seek(first); k != nil && bytes.Compare(k, end) < 0; k, _ = c.Next() {
			if !bytes.Equal(k, first) && !yield(k) {
				return
			}
		}
	}
}

// placeOf reads the key of a row. If the key is too short the file is damaged.
func placeOf(key []byte) (task.Cursor, error) {
	if len(key) <= 8 {
		return task.Cursor{}, fmt.Errorf("the file is damaged: the key %q of a row has %d bytes, at least 9 are due", key, len(key))
	}
	return task.Cursor{NextMS: int64(binary.BigEndian.Uint64(key)), ID: string(key[8:])}, nil
}
