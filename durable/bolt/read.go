package bolt

import (
	"bytes"
	"context"
	"math"

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
