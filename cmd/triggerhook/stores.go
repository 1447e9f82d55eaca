package main

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
)

// target says which stores a command works with.
type target struct {
	store      string // mysql://... or bolt:PATH
	hot        string // redis://..., rediss://..., redis-cluster://..., redis-sentinel://... or local
	namespace  string
	partitions int
	maxPayload int // the longest payload that a command stores; 0: the library's default
}

// opened is a Scheduler on stores that this process has opened.
type opened struct {
	*triggerhook.Scheduler
	store   durable.Store
	set     hotset.Set
	db      *sql.DB               // of store, if that is MySQL
	rdb     redis.UniversalClient // of set, if that is Redis
	closers []io.Closer
}

// open opens both stores. It does not migrate them.
func (t target) open(logs io.Writer) (_ *opened, err error) {
	o := &opened{}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.close())
		}
	}()
	store, err := t.openStore(o)
	if err != nil {
		return nil, err
	}
	o.store = store
	if o.set, err = t.openHot(o); err != nil {
		return nil, err
	}
	o.Scheduler, err = triggerhook.New(store, o.set, triggerhook.Options{
		MaxPayload: t.maxPayload,
		Logger:     slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	return o, err
}

// openStore opens the durable store.
func (t target) openStore(o *opened) (durable.Store, error) {
	if path, is := strings.CutPrefix(t.store, "bolt:"); is && path != "" {
		s, err := bolt.Open(path, bolt.Options{Namespace: t.namespace})
		if err != nil {
			return nil, err
		}
		o.closers = append(o.closers, s)
		return s, nil
	}
	if !strings.HasPrefix(t.store, "mysql://") {
		return nil, usageError{fmt.Errorf("--store %q: want mysql://USER:PASSWORD@HOST:PORT/DATABASE or bolt:PATH", redacted(t.store))}
	}
	dsn, err := mysqlDSN("--store", t.store)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, usageError{fmt.Errorf("--store %q: %w", redacted(t.store), err)}
	}
	o.db, o.closers = db, append(o.closers, db)
	return durable.NewMySQL(db, durable.Options{Namespace: t.namespace})
}

// mysqlDSN is the driver's form of a mysql URL, which a flag has named. The query of the URL has parameters of the driver; "socket" in it
// is the path of a socket, in place of the host.
func mysqlDSN(flag, raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", usageError{fmt.Errorf("%s: not a URL; a password with special characters is written percent-encoded", flag)} // the error would hold the password
	}
	if u.Scheme != "mysql" {
		return "", usageError{fmt.Errorf("%s %q: want mysql://USER:PASSWORD@HOST:PORT/DATABASE", flag, redacted(raw))}
	}
	query := u.Query()
	c := mysql.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.DBName = strings.TrimPrefix(u.Path, "/")
	c.Net, c.Addr = "tcp", u.Host
	if u.Port() == "" {
		c.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	if socket := query.Get("socket"); socket != "" {
		c.Net, c.Addr = "unix", socket
		query.Del("socket")
	}
	c.InterpolateParams = true
	if c.DBName == "" {
		return "", usageError{fmt.Errorf("%s %q: the URL names no database", flag, redacted(raw))}
	}
	dsn := c.FormatDSN()
	if len(query) > 0 {
		dsn += "&" + query.Encode() // there is a parameter before it: interpolateParams
	}
	if _, err := mysql.ParseDSN(dsn); err != nil {
		return "", usageError{fmt.Errorf("%s %q: %w", flag, redacted(raw), err)}
	}
	return dsn, nil
}

// openHot opens the hot set.
func (t target) openHot(o *opened) (hotset.Set, error) {
	if t.hot == "local" {
		if !strings.HasPrefix(t.store, "bolt:") {
			return nil, usageError{errors.New("--hot local is in the memory of one process: use it with --store bolt:PATH, and name the Redis of your workers otherwise")}
		}
		return local.New(local.Options{Namespace: t.namespace, Partitions: t.partitions})
	}
	client, err := t.redisClient()
	if err != nil {
		return nil, usageError{fmt.Errorf("--hot %q: %w", redacted(t.hot), err)}
	}
	o.rdb, o.closers = client, append(o.closers, client)
	return hotset.NewRedis(client, hotset.Options{Namespace: t.namespace, Partitions: t.partitions})
}

var errHot = errors.New("want redis://HOST:PORT, rediss://, redis-cluster://, redis-sentinel://HOST:PORT?master_name=NAME, or local")

// redisClient makes a client of the kind that the URL's scheme names. The parsers of go-redis read the rest.
func (t target) redisClient() (redis.UniversalClient, error) {
	scheme, rest, _ := strings.Cut(t.hot, "://")
	switch scheme {
	case "redis", "rediss":
		c, err := redis.ParseURL(t.hot)
		if err != nil {
			return nil, withoutURL(err)
		}
		return redis.NewClient(c), nil
	case "redis-cluster", "rediss-cluster":
		c, err := redis.ParseClusterURL(strings.TrimSuffix(scheme, "-cluster") + "://" + rest)
		if err != nil {
			return nil, withoutURL(err)
		}
		return redis.NewClusterClient(c), nil
	case "redis-sentinel", "rediss-sentinel":
		c, err := redis.ParseFailoverURL(strings.TrimSuffix(scheme, "-sentinel") + "://" + rest)
		if err != nil {
			return nil, withoutURL(err)
		}
		if c.MasterName == "" {
			return nil, errors.New("the URL names no master: add ?master_name=NAME")
		}
		return redis.NewFailoverClient(c), nil
	default:
		return nil, errHot
	}
}

// withoutURL is err without the URL that url.Parse puts into its errors, and that may hold a password.
func withoutURL(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

// redacted is a URL as messages may show it.
func redacted(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		scheme, _, _ := strings.Cut(raw, "://")
		return scheme + "://..."
	}
	return u.Redacted()
}

// close closes what was opened, the last first.
func (o *opened) close() (err error) {
	for _, c := range slices.Backward(o.closers) {
		err = errors.Join(err, c.Close())
	}
	return err
}
