package bolt

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/triggerhook/triggerhook/task"
)

// putExpiry notes when a row expires. An older version of this library knows nothing of that, and leaves the note behind when it deletes
// the row. So the note says which row it is about: created_ms stays through moves.
func (t *table) putExpiry(r task.Row) error {
	v := binary.BigEndian.AppendUint64(nil, uint64(r.ExpiresMS))
	return t.expires.Put([]byte(r.ID), binary.BigEndian.AppendUint64(v, uint64(r.CreatedMS)))
}

// expiry returns when a row expires, 0 if it does not.
func (t *table) expiry(r task.Row) int64 {
	v := t.expires.Get([]byte(r.ID))
	if len(v) != 16 || int64(binary.BigEndian.Uint64(v[8:])) != r.CreatedMS {
		return 0
	}
	return int64(binary.BigEndian.Uint64(v))
}

// deadKey orders by death, then by the id's bytes, then by version. No id contains NUL.
func deadKey(c task.DeadCursor) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(c.DeadMS)), versionKey(c.Ref)...)
}

// versionKey orders by the id's bytes, then by version.
func versionKey(r task.Ref) []byte {
	return appendVer(append([]byte(r.ID), 0), r.Ver)
}

// appendVer appends a version in bytes that have the order of versions: negative ones come first.
func appendVer(key []byte, ver int64) []byte {
	return binary.BigEndian.AppendUint64(key, uint64(ver)^1<<63)
}

// keyVer is the version at the end of a key.
func keyVer(key []byte) int64 { return int64(binary.BigEndian.Uint64(key[len(key)-8:]) ^ 1<<63) }

// deadRow is the dead letter that b makes of r, as it is stored.
func deadRow(b task.Burial, r task.Row) []byte {
	var v []byte
	for _, n := range []int64{r.DueMS, r.CreatedMS, r.ExpiresMS, int64(b.Attempt)} {
		v = binary.BigEndian.AppendUint64(v, uint64(n))
	}
	for _, text := range []string{b.Reason, b.LastError, r.Headers} {
		v = append(binary.BigEndian.AppendUint16(v, uint16(len(text))), text...) // each has a bound below 64 KiB
	}
	return append(v, r.Payload...)
}

const deadHeader = 4 * 8 // bytes of the numbers of a dead letter

// decodeDead reads a dead letter, whose payload is valid in this transaction only.
func decodeDead(k, v []byte) (d task.Dead, err error) {
	if len(k) < 8+2+8 || len(v) < deadHeader {
		return d, fmt.Errorf("the file is damaged: dead letter %q has %d bytes, at least %d are due", k, len(v), deadHeader)
	}
	d.DeadMS = int64(binary.BigEndian.Uint64(k))
	d.ID, d.Ver = string(k[8:len(k)-9]), keyVer(k)
	var n [4]int64
	for i := range n {
		n[i], v = int64(binary.BigEndian.Uint64(v)), v[8:]
	}
	d.DueMS, d.CreatedMS, d.ExpiresMS, d.Attempt = n[0], n[1], n[2], int(n[3])
	for _, text := range []*string{&d.Reason, &d.LastError, &d.Headers} {
		if len(v) < 2 || len(v) < 2+int(binary.BigEndian.Uint16(v)) {
			return d, fmt.Errorf("the file is damaged: dead letter %q ends within its texts", k)
		}
		end := 2 + int(binary.BigEndian.Uint16(v))
		*text, v = string(v[2:end]), v[end:]
	}
	if len(v) > 0 {
		d.Payload = v
	}
	return d, nil
}

// Bury implements durable.Store.
func (s *Store) Bury(ctx context.Context, burials []task.Burial) ([]bool, error) {
	return s.buryAll(ctx, burials, nil)
}

func (s *Store) buryAll(ctx context.Context, burials []task.Burial, history *keeper) ([]bool, error) {
	for _, b := range burials {
		if err := b.Check(); err != nil {
			return nil, fmt.Errorf("bury %d tasks: %w", len(burials), err)
		}
	}
	own := slices.Clone(burials)
	dead, moved := make([]bool, len(own)), []task.Ref(nil)
	err := s.write(ctx, fmt.Sprintf("bury %d tasks", len(own)), func(tx *bbolt.Tx) error {
		t, err := s.table(tx)
		if err != nil {
			return err
		}
		for i, b := range own {
			r, ok, err := t.get(b.ID)
			if err != nil {
				return &brokenError{err} // others before it may be moved
			}
			if !ok || r.Ver != b.Ver {
				dead[i] = t.deadIDs.Get(versionKey(b.Ref)) != nil
				continue
			}
			if err := errors.Join(history.keep(s, tx, i, r), t.bury(b, r)); err != nil {
				return &brokenError{err}
			}
			dead[i], moved = true, append(moved, b.Ref)
		}
		return nil
	})
	if commitFailed(err) {
		return nil, doubtful(moved, err)
	}
	if err != nil {
		return nil, err
	}
	return dead, nil
}

func (t *table) bury(b task.Burial, r task.Row) error {
	v := deadRow(b, r) // a copy: the memory of r may change when it is removed
	at := binary.BigEndian.AppendUint64(nil, uint64(b.DeadMS))
	return errors.Join(t.remove(r), t.dead.Put(deadKey(task.DeadCursor{DeadMS: b.DeadMS, Ref: b.Ref}), v),
		t.deadIDs.Put(versionKey(b.Ref), at), t.dead.SetSequence(t.dead.Sequence()+1))
}

// digUp removes a dead letter.
func (t *table) digUp(c task.DeadCursor) error {
	return errors.Join(t.dead.Delete(deadKey(c)), t.deadIDs.Delete(versionKey(c.Ref)), t.dead.SetSequence(t.dead.Sequence()-1))
}

// readDead returns the dead letter of ref, if there is one.
func (t *table) readDead(ref task.Ref) (d task.Dead, ok bool, err error) {
	at := t.deadIDs.Get(versionKey(ref))
	if len(at) != 8 {
		return d, false, nil
	}
	key := deadKey(task.DeadCursor{DeadMS: int64(binary.BigEndian.Uint64(at)), Ref: ref})
	d, err = decodeDead(key, t.dead.Get(key))
	return d, err == nil, err
}

// Dead implements durable.Store.
func (s *Store) Dead(ctx context.Context, f task.DeadFilter, after task.DeadCursor, limit int) (page task.DeadPage, err error) {
	limit = max(1, limit)
	err = s.view(ctx, "list dead letters", func(t *table) error {
		found, err := t.deadAfter(f, after, limit)
		if err != nil {
			return err
		}
		page.More = len(found) == limit
		bytes := 0
		for _, d := range found {
			if f.Matches(d) {
				if bytes += len(d.Payload) + len(d.Headers); bytes > task.MostBytes && len(page.Dead) > 0 {
					page.More = true
					return nil
				}
				d.Payload = slices.Clone(d.Payload)
				page.Dead = append(page.Dead, d)
			}
			page.Next = d.Cursor()
		}
		return nil
	})
	return page, err
}

// deadAfter returns limit dead letters after the cursor, of which f may mean some. Their payloads are valid in this transaction only.
func (t *table) deadAfter(f task.DeadFilter, after task.DeadCursor, limit int) (all []task.Dead, err error) {
	if f.IDPrefix != "" {
		return t.deadByID(f, after, limit)
	}
	from := deadKey(after)
	if after.DeadMS < f.FromMS {
		from = binary.BigEndian.AppendUint64(nil, uint64(f.FromMS))
	}
	c := t.dead.Cursor()
	for k, v := c.Seek(from); k != nil && len(all) < limit; k, v = c.Next() {
		if bytes.Equal(k, from) {
			continue
		}
		d, err := decodeDead(k, v)
		if err != nil {
			return nil, err
		}
		if f.BeforeMS != 0 && d.DeadMS >= f.BeforeMS {
			break
		}
		all = append(all, d)
	}
	return all, nil
}

func (t *table) deadByID(f task.DeadFilter, after task.DeadCursor, limit int) (all []task.Dead, err error) {
	from := []byte(f.IDPrefix)
	if cmp.Compare(after.ID, f.IDPrefix) >= 0 {
		from = versionKey(after.Ref)
	}
	c := t.deadIDs.Cursor()
	for k, _ := c.Seek(from); k != nil && len(all) < limit && strings.HasPrefix(string(k), f.IDPrefix); k, _ = c.Next() {
		if bytes.Equal(k, from) || len(k) < 10 {
			continue
		}
		ref := task.Ref{ID: string(k[:len(k)-9]), Ver: keyVer(k)}
		d, ok, err := t.readDead(ref)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, d)
		}
	}
	return all, nil
}

// Requeue implements durable.Store.
func (s *Store) Requeue(ctx context.Context, ref task.Ref, to task.Row) (bool, error) {
	was := false
	err := s.write(ctx, "requeue task", func(tx *bbolt.Tx) error {
		t, err := s.table(tx)
		if err != nil {
			return err
		}
		d, ok, err := t.readDead(ref)
		if err != nil || !ok {
			return err
		}
		if t.ids.Get([]byte(ref.ID)) != nil {
			return &task.IDError{Exists: []string{ref.ID}}
		}
		row := task.Row{Ref: task.Ref{ID: ref.ID, Ver: to.Ver}, NextMS: to.NextMS, DueMS: to.DueMS, CreatedMS: d.CreatedMS,
			Payload: slices.Clone(d.Payload), Headers: d.Headers}
		if err := errors.Join(t.digUp(d.Cursor()), t.put(row)); err != nil {
			return &brokenError{err}
		}
		was = true
		return nil
	})
	return err == nil && was, err
}

// purgeRows is how many dead letters one commit deletes.
const purgeRows = 1000

// PurgeDead implements durable.Store.
func (s *Store) PurgeDead(ctx context.Context, beforeMS int64) (total int64, err error) {
	for beforeMS > 0 { // 0 would mean any time
		n := int64(0)
		err := s.write(ctx, "purge dead letters", func(tx *bbolt.Tx) (err error) {
			t, err := s.table(tx)
			if err != nil {
				return err
			}
			old, err := t.deadAfter(task.DeadFilter{BeforeMS: beforeMS}, task.DeadCursor{}, purgeRows)
			if err != nil {
				return err
			}
			for _, d := range old {
				if err := t.digUp(d.Cursor()); err != nil {
					return &brokenError{err}
				}
			}
			n = int64(len(old))
			return nil
		})
		if err != nil {
			return total, err
		}
		if total += n; n < purgeRows {
			return total, nil
		}
	}
	return total, nil
}

// DeleteDead implements durable.Store.
func (s *Store) DeleteDead(ctx context.Context, refs []task.Ref) (n int64, err error) {
	err = s.write(ctx, "delete dead letters", func(tx *bbolt.Tx) error {
		t, err := s.table(tx)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			d, ok, err := t.readDead(ref)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if err := t.digUp(d.Cursor()); err != nil {
				return &brokenError{err}
			}
			n++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// CountDead implements durable.Store. It reads no dead letter: the sequence of their bucket counts them.
func (s *Store) CountDead(ctx context.Context, limit int) (n int64, exact bool, err error) {
	err = s.view(ctx, "count dead letters", func(t *table) error {
		n = int64(t.dead.Sequence())
		return nil
	})
	return n, n <= int64(limit), err
}
