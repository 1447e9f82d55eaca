package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// limit is a bare loop of the library's statements and scripts, with no scheduler
// around them: what these servers can do at all. Each commit is flushed, and each
// caller learns what became of its own task, as with the library.
type limit struct {
	*hook            // its table and its client
	j                job
	db               *sql.DB
	rdb              *redis.Client
	keys             []string
	scripts          map[string]*redis.Script
	gone             atomic.Int64
	inserts, deletes chan request
}

const (
	conns = 4    // that statements of many rows go over
	most  = 1000 // rows of a statement, members of a script's call
	// version is 1 as the end of a member has it: all rows have that one.
	version = "\x00\x00\x00\x00\x00\x00\x00\x01"
)

func (l *limit) create(ctx context.Context, items []item) error {
	return l.call(ctx, items, l.insertAndAdd, l.inserts)
}

func (l *limit) delete(ctx context.Context, ids []string) error {
	items := make([]item, len(ids))
	for i, id := range ids {
		items[i].id = id
	}
	return l.call(ctx, items, l.drop, l.deletes)
}

func (l *limit) insert(ctx context.Context, items []item) error {
	args := make([]any, 0, 7*len(items))
	for _, it := range items {
		due := it.due.UnixMilli()
		args = append(args, due, it.id, due, 1, 0, due, it.payload)
	}
	_, err := l.db.ExecContext(ctx, "INSERT INTO "+l.j.Name+"_task (due_ms, id, exec_ms, ver, attempt, created_ms, payload) VALUES "+
		strings.TrimSuffix(strings.Repeat("(?,?,?,?,?,?,?),", len(items)), ","), args...)
	return err
}

func (l *limit) insertAndAdd(ctx context.Context, items []item) error {
	if err := l.insert(ctx, items); err != nil || time.Until(items[0].due) > time.Minute {
		return err
	}
	return l.add(ctx, items)
}

// add puts rows into the hot set, in one pipeline.
func (l *limit) add(ctx context.Context, items []item) error {
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for ; len(items) > 0; items = items[min(most, len(items)):] {
			args := []any{1, 1, time.Now().UnixMicro(), 1, 0, ""}
			for _, it := range items[:min(most, len(items))] {
				due := strconv.FormatInt(it.due.UnixMilli(), 10)
				args = append(args, it.id+version, due, due+":"+due+":0:i:"+string(it.payload))
			}
			l.scripts["feed"].EvalSha(ctx, p, l.keys[:7], args...)
		}
		return nil
	})
	return err
}

func (l *limit) drop(ctx context.Context, items []item) error {
	args := make([]any, len(items), len(items)+1)
	for i, it := range items {
		args[i] = it.id
	}
	res, err := l.db.ExecContext(ctx, "DELETE t FROM "+l.j.Name+"_task AS t FORCE INDEX (id) WHERE t.id IN ("+
		strings.TrimSuffix(strings.Repeat("?,", len(items)), ",")+") AND t.ver IN (?)", append(args, 1)...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	l.gone.Add(n)
	if err == nil && int(n) != len(items) {
		err = fmt.Errorf("of %d rows %d were there", len(items), n)
	}
	return err
}

// start preloads all rows.
func (l *limit) start(ctx context.Context) error {
	return l.pages(ctx, conns*most, func(items []item) error { return l.add(ctx, items) })
}

// pages reads all rows in key order.
func (l *limit) pages(ctx context.Context, size int, f func([]item) error) error {
	for due, id := int64(0), ""; ; {
		rows, err := l.db.QueryContext(ctx, "SELECT due_ms, id, payload FROM "+l.j.Name+
			"_task WHERE ((due_ms = ? AND id > ?) OR due_ms > ?) ORDER BY due_ms, id LIMIT ?", due, id, due, size)
		if err != nil {
			return err
		}
		var all []item
		for it := (item{}); rows.Next() && err == nil; it = (item{}) {
			err = rows.Scan(&due, &it.id, &it.payload)
			it.due, id = time.UnixMilli(due), it.id
			all = append(all, it)
		}
		if err = errors.Join(err, rows.Err(), rows.Close()); err == nil && len(all) > 0 {
			err = f(all)
		}
		if err != nil || len(all) == 0 {
			return err
		}
	}
}

// consume claims, delivers and deletes, one batch after another in each of some
// loops; or reads pages, and deletes them on other connections.
func (l *limit) consume(ctx context.Context, c consumption) error {
	if c.confirm && !c.rows {
		c.consumers = max(c.consumers, conns)
	}
	if !c.rows {
		return each(ctx, 1<<40, 1, c.consumers, func(ctx context.Context, n, _ int) error { return l.claim(ctx, c, strconv.Itoa(n)) })
	}
	drops := make(chan []item)
	var wg sync.WaitGroup
	errs := make([]error, conns+1)
	for i := range conns {
		wg.Go(func() {
			for all := range drops {
				errs[i] = errors.Join(errs[i], l.drop(ctx, all))
			}
		})
	}
	errs[conns] = l.pages(ctx, most, func(all []item) error {
		for _, it := range all {
			c.deliver(it.id)
		}
		if c.confirm {
			drops <- all
		}
		return nil
	})
	close(drops)
	wg.Wait()
	return errors.Join(errs...)
}

func (l *limit) claim(ctx context.Context, c consumption, token string) error {
	keys, size := append(l.keys[:7:7], l.keys[7]+token), most
	if c.wait != nil {
		size = 1
	}
	reply, err := l.scripts["claim"].Run(ctx, l.rdb, keys, 1, token, size, 60_000).Slice()
	if err != nil {
		return err
	}
	members := reply[4].([]any)
	all := make([]item, len(members))
	for i, m := range members {
		all[i].id = strings.TrimSuffix(m.(string), version)
		c.deliver(all[i].id)
	}
	if len(all) == 0 {
		return pause(ctx, time.Millisecond)
	}
	if !c.confirm {
		return nil
	}
	began := time.Now()
	if err := l.drop(ctx, all); err != nil {
		return err
	}
	if err := l.scripts["remove"].Run(ctx, l.rdb, keys, append([]any{1, token}, members...)...).Err(); err != nil {
		return err
	}
	if c.wait != nil {
		c.wait(time.Since(began))
	}
	return nil
}

func (l *limit) settled(context.Context) (int, error) { return int(l.gone.Load()), nil }
