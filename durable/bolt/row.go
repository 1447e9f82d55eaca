package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/triggerhook/triggerhook/task"
)

// rowKey orders by due, then by the id's bytes. Due is never negative.
func rowKey(nextMS int64, id string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(nextMS)), id...)
}

func (t *table) put(r task.Row) error {
	key := rowKey(r.NextMS, r.ID)
	v := binary.BigEndian.AppendUint64(nil, uint64(r.DueMS))
	v = binary.BigEndian.AppendUint64(v, uint64(r.Ver))
	v = binary.BigEndian.AppendUint32(v, uint32(r.Attempt))
	v = binary.BigEndian.AppendUint64(v, uint64(r.CreatedMS))
	v = binary.BigEndian.AppendUint16(v, uint16(len(r.Headers))) // at most task.MaxHeaders
	v = append(append(v, r.Headers...), r.Payload...)
	err := errors.Join(t.rows.Put(key, v), t.ids.Put([]byte(r.ID), key), t.ids.SetSequence(t.ids.Sequence()+1))
	if r.PrevVer != 0 {
		err = errors.Join(err, t.prev.Put([]byte(r.ID), binary.BigEndian.AppendUint64(nil, uint64(r.PrevVer))))
	}
	if r.ExpiresMS != 0 {
		err = errors.Join(err, t.putExpiry(r))
	}
	return err
}

func (t *table) remove(r task.Row) error {
	return errors.Join(t.rows.Delete(rowKey(r.NextMS, r.ID)), t.ids.Delete([]byte(r.ID)), t.prev.Delete([]byte(r.ID)),
		t.expires.Delete([]byte(r.ID)), t.ids.SetSequence(t.ids.Sequence()-1))
}

// get returns the row of id; its payload is valid in this transaction only.
func (t *table) get(id string) (r task.Row, ok bool, err error) {
	key := t.ids.Get([]byte(id))
	if key == nil {
		return r, false, nil
	}
	r, err = t.decode(key, t.rows.Get(key))
	return r, err == nil, err
}

// decode reads a row with its previous version.
func (t *table) decode(k, v []byte) (task.Row, error) {
	r, err := decode(k, v)
	if err != nil {
		return r, err
	}
	if prev := t.prev.Get([]byte(r.ID)); len(prev) == 8 {
		r.PrevVer = int64(binary.BigEndian.Uint64(prev))
	}
	r.ExpiresMS = t.expiry(r)
	return r, nil
}

const header = 30 // bytes before headers and payload: due, ver, attempt, created, and the length of the headers

// decode reads a row. If the row is too short the file is damaged.
func decode(k, v []byte) (task.Row, error) {
	if len(k) <= 8 || len(v) < header {
		return task.Row{}, fmt.Errorf("the file is damaged: row %q has %d bytes, at least %d are due", k, len(v), header)
	}
	r := task.Row{Ref: task.Ref{ID: string(k[8:])}, NextMS: int64(binary.BigEndian.Uint64(k))}
	r.DueMS = int64(binary.BigEndian.Uint64(v))
	r.Ver = int64(binary.BigEndian.Uint64(v[8:]))
	r.Attempt = int(binary.BigEndian.Uint32(v[16:]))
	r.CreatedMS = int64(binary.BigEndian.Uint64(v[20:]))
	n := header + int(binary.BigEndian.Uint16(v[28:]))
	if n > len(v) {
		return task.Row{}, fmt.Errorf("the file is damaged: row %q has %d bytes, its headers alone end at %d", k, len(v), n)
	}
	r.Size, r.Headers = len(v)-header, string(v[header:n])
	if n < len(v) {
		r.Payload = v[n:]
	}
	return r, nil
}
