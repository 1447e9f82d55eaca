package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// limit is a bare loop of the library's statements and scripts, with no scheduler around them: what these servers can do
// at all. Each commit is flushed, and each caller learns what became of its own task (of more than few, how many were there).
type limit struct {
	*hook            // its table and its clients
	j                job
	db               *sql.DB
	rdb              *redis.Client
	keys             []string
	scripts          map[string]*redis.Script
	gone             atomic.Int64
	inserts, deletes chan request
}

const (
	conns   = 4                                  // that statements of many rows go over
	few     = 50                                 // rows that go all or none
	most    = 1000                               // rows of a statement, members of a script's call
	caller  = "1  "                              // to scripts: of one partition, that knows no identity and no generation
	version = "\x00\x00\x00\x00\x00\x00\x00\x01" // 1 as the end of a member has it: all rows have that one
)

func openLimit(ctx context.Context, j job) (system, error) {
	j.Partitions = 1
	sys, err := openTriggerhook(ctx, j, true)
	if err != nil {
		return nil, err
	}
	l := &limit{hook: sys.(*hook), j: j, scripts: map[string]*redis.Script{}, inserts: make(chan request, most), deletes: make(chan request, most)}
	l.rdb, l.db = l.closes[1].(*redis.Client), l.closes[2].(*sql.DB)
	for _, k := range []string{"meta", "waiting", "task", "lease", "gone:0", "gone:1", "gone:2", "batch:"} {
		l.keys = append(l.keys, fmt.Sprintf("{%s:0}:%s", j.Name, k))
	}
	for _, verb := range []string{"horizon", "feed", "claim", "remove"} {
		if l.scripts[verb], err = script(ctx, l.rdb, verb); err != nil {
			return nil, errors.Join(err, l.close())
		}
	}
	for range conns {
		go gather(l.inserts, most, l.insertAndAdd)
		go gather(l.deletes, few, l.drop)
	}
	return l, l.scripts["horizon"].Run(ctx, l.rdb, l.keys[:7], caller, 1, time.Now().Add(24*time.Hour).UnixMilli(), 1<<40, 1, "").Err()
}

func (l *limit) create(ctx context.Context, all []item) error {
	return inGroup(ctx, l.j.Workers, all, l.insertAndAdd, l.inserts)
}
func (l *limit) settled(context.Context) (int, error) { return int(l.gone.Load()), nil }
func (l *limit) hot(ctx context.Context) (int, error) { // the library's set knows no current generation
	n, err := l.rdb.ZCard(ctx, l.keys[1]).Result()
	return int(n), err
}
func (l *limit) start(ctx context.Context) error { return l.pages(ctx, conns*most, l.add) } // preloads all rows

func (l *limit) delete(ctx context.Context, ids []string) error {
	return inGroup(ctx, l.j.Workers, items(0, len(ids), func(i int) item { return item{id: ids[i]} }), l.drop, l.deletes)
}

func (l *limit) fill(ctx context.Context, n int, at func(int) item) error {
	return each(ctx, n, most, conns, func(ctx context.Context, from, to int) error { return l.insert(ctx, items(from, to, at)) })
}

func (l *limit) insert(ctx context.Context, items []item) error {
	args := make([]any, 0, 7*len(items))
	for _, it := range items {
		args = append(args, it.due.UnixMilli(), it.id, it.due.UnixMilli(), 1, 0, it.due.UnixMilli(), it.payload)
	}
	_, err := l.db.ExecContext(ctx, "INSERT INTO "+l.j.Name+"_task (next_ms, id, due_ms, ver, attempt, created_ms, payload) VALUES "+
		strings.TrimSuffix(strings.Repeat("(?,?,?,?,?,?,?),", len(items)), ","), args...)
	return err
}

func (l *limit) insertAndAdd(ctx context.Context, items []item) error {
	if err := l.insert(ctx, items); err != nil || time.Until(items[0].due) > time.Minute {
		return err
	}
	return l.add(ctx, items)
}

func (l *limit) add(ctx context.Context, items []item) error { // to the hot set, in one pipeline
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for ; len(items) > 0; items = items[min(most, len(items)):] {
			args := []any{caller, 1, time.Now().UnixMicro(), 1, 0, ""}
			for _, it := range items[:min(most, len(items))] {
				due := strconv.FormatInt(it.due.UnixMilli(), 10)
				args = append(args, it.id+version, due, strconv.FormatInt(it.due.UnixMilli(), 36)+string(it.payload))
			}
			l.scripts["feed"].EvalSha(ctx, p, l.keys[:7], args...)
		}
		return nil
	})
	return err
}

func (l *limit) drop(ctx context.Context, items []item) error {
	var args []any
	for _, it := range items {
		args = append(args, it.id)
	}
	those := l.j.Name + "_task AS t FORCE INDEX (id) WHERE t.id IN (" + strings.TrimSuffix(strings.Repeat("?,", len(items)), ",") + ") AND t.ver IN (1)"
	from := "DELETE t FROM " + those
	if len(items) <= few {
		from = "DELETE t FROM (SELECT COUNT(*) AS n FROM " + those + " FOR UPDATE) AS k JOIN " + those + " AND n = ?"
		args = append(append(args, args...), len(items))
	}
	res, err := l.db.ExecContext(ctx, from, args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if l.gone.Add(n); err == nil && int(n) < len(items) {
		err = fmt.Errorf("of %d rows %d were there", len(items), n)
	}
	return err
}

func (l *limit) pages(ctx context.Context, size int, do act) error { // of all rows, in key order
	for due, id := int64(0), ""; ; {
		rows, err := l.db.QueryContext(ctx, "SELECT next_ms, id, payload FROM "+l.j.Name+
			"_task WHERE ((next_ms = ? AND id > ?) OR next_ms > ?) ORDER BY next_ms, id LIMIT ?", due, id, due, size)
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
			err = do(ctx, all)
		}
		if err != nil || len(all) == 0 {
			return err
		}
	}
}

// consume claims, delivers and deletes, one batch after another in each of some loops; or reads pages, and deletes them
// on other connections.
func (l *limit) consume(ctx context.Context, c consumption) error {
	if !c.rows {
		if c.confirm {
			c.consumers = max(c.consumers, conns)
		}
		return each(ctx, 1<<40, 1, c.consumers, func(ctx context.Context, n, _ int) error { return l.claim(ctx, c, strconv.Itoa(n)) })
	}
	drops, _ := errgroup.WithContext(ctx)
	drops.SetLimit(conns)
	err := l.pages(ctx, most, func(ctx context.Context, all []item) error {
		for _, it := range all {
			c.deliver(it.id, time.Now())
		}
		if c.confirm {
			drops.Go(func() error { return l.drop(ctx, all) })
		}
		return nil
	})
	return errors.Join(err, drops.Wait())
}

func (l *limit) claim(ctx context.Context, c consumption, token string) error {
	keys, size := append(l.keys[:7:7], l.keys[7]+token), most
	if c.wait != nil {
		size = 1
	}
	reply, err := l.scripts["claim"].Run(ctx, l.rdb, keys, caller, token, size, 60_000, 1<<20, 0, 0, 0, 0).Slice()
	if err != nil {
		return err
	}
	members := reply[6].([]any)
	all := items(0, len(members), func(i int) item { return item{id: strings.TrimSuffix(members[i].(string), version)} })
	for _, it := range all {
		c.deliver(it.id, time.Now())
	}
	if len(all) == 0 {
		return pause(ctx, time.Millisecond)
	}
	began := time.Now()
	if c.confirm {
		if err = l.drop(ctx, all); err == nil {
			err = l.scripts["remove"].Run(ctx, l.rdb, keys, append([]any{caller, 1, token, len(members)}, members...)...).Err()
		}
	}
	if c.wait != nil && err == nil {
		c.wait(time.Since(began))
	}
	return err
}
