package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

func openLimit(ctx context.Context, j job) (system, error) {
	sys, err := openTriggerhook(ctx, j, true)
	if err != nil {
		return nil, err
	}
	l := &limit{hook: sys.(*hook), j: j, scripts: map[string]*redis.Script{}, inserts: make(chan request, most), deletes: make(chan request, most)}
	l.rdb, l.db = l.closes[1].(*redis.Client), l.closes[2].(*sql.DB)
	for _, k := range []string{"meta", "due", "task", "lease", "gone:0", "gone:1", "gone:2", "batch:"} {
		l.keys = append(l.keys, fmt.Sprintf("{%s:0}:%s", j.Name, k))
	}
	for _, verb := range []string{"horizon", "feed", "claim", "remove"} {
		s, err := script(ctx, l.rdb, verb)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.scripts[verb] = s
	}
	for range conns {
		go gather(l.inserts, l.insertAndAdd)
		go gather(l.deletes, l.drop)
	}
	return l, l.scripts["horizon"].Run(ctx, l.rdb, l.keys[:7], 1, 1, time.Now().Add(24*time.Hour).UnixMilli(), 1<<40, 1).Err()
}

func (l *limit) fill(ctx context.Context, n int, at func(int) item) error {
	return each(ctx, n, most, conns, func(ctx context.Context, from, to int) error { return l.insert(ctx, items(from, to, at)) })
}
