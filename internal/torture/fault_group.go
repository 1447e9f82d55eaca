package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook/internal/history"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// groupBound is how late a task may be once a group has its primary again. To what bound is made
// of comes a read that waits in vain on a member that the group does not hear any more (10 s).
const groupBound = bound + 10*time.Second

const (
	followEvery = 100 * time.Millisecond // how often the group is asked for its primary
	elected     = 90 * time.Second       // how long an election may take
	// likely is the weight of the member that is to be the next primary, and usual that of any
	// other time.
	likely, usual = 90, 50
)

// group is a MySQL group behind one proxy, which follows the primary, as a router does. The
// workers' own proxies lead to that one.
type group struct {
	*testserver.Group
	proxy *proxy
	stop  context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex
	primary int  // where the proxy leads to
	fixed   bool // the proxy stays there, whatever the group says
}

// bringGroup brings a group of three and one Redis. Of eight seeds in a row the first four have a
// member expelled at once, and the others after the default time. Consistency is EVENTUAL, the weakest: a new primary takes
// statements before it has applied what the old one had committed. What a member has written is
// flushed by the system, which its kill -9 does not touch: three members share a disk here.
func bringGroup(ctx context.Context, st *stage) (dsn string, err error) {
	args := []string{"--loose-group-replication-consistency=EVENTUAL", "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2"}
	if st.seed/4%2 == 0 {
		args = append(args, "--loose-group-replication-member-expel-timeout=0")
	}
	servers, err := testserver.StartGroup(ctx, args...)
	if err != nil {
		return "", err
	}
	g := &group{Group: servers, done: make(chan struct{})}
	st.group = g
	if g.proxy, err = newProxy(g.Members[0].Addr); err != nil {
		return "", err
	}
	following, stop := context.WithCancel(context.Background())
	g.stop = stop
	go g.follow(following)
	if err := st.bringRedis(ctx); err != nil {
		return "", err
	}
	return "root@tcp(" + g.proxy.addr() + ")/", nil
}

// follow ends with stop.
func (g *group) follow(ctx context.Context) {
	defer close(g.done)
	for ; ctx.Err() == nil; pause(ctx, followEvery) {
		p, err := g.Primary(ctx)
		if err != nil {
			continue
		}
		g.mu.Lock()
		if p != g.primary && !g.fixed {
			g.primary = p
			g.proxy.turn(g.Members[p].Addr)
		}
		g.mu.Unlock()
	}
}

// fix has the proxy lead to member i until free.
func (g *group) fix(i int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fixed, g.primary = true, i
	g.proxy.turn(g.Members[i].Addr)
}

func (g *group) free() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fixed = false
}

// leads is the member that the proxy leads to.
func (g *group) leads() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.primary
}

// settle waits until a majority has a primary other than not, to which the proxy leads.
func (g *group) settle(not int) error {
	for end := time.Now().Add(elected); time.Now().Before(end); pause(context.Background(), followEvery) {
		p, err := g.Primary(context.Background())
		if err == nil && p != not && p == g.leads() {
			return nil
		}
	}
	return fmt.Errorf("the group has no primary after %s", elected)
}

// whole has all members in the group. On a busy machine it expels one now and then.
func (g *group) whole() error {
	ctx, cancel := context.WithTimeout(context.Background(), 12*time.Minute)
	defer cancel()
	if err := g.Rejoin(ctx); err != nil {
		return err
	}
	return g.settle(-1)
}

func (g *group) close() error {
	if g.stop != nil {
		g.stop()
		<-g.done
	}
	if g.proxy != nil {
		g.proxy.close()
	}
	return g.Close()
}

// groupFails records a failover of the group, which do brings about; it ends when writes through the
// proxy succeed again. The engine's own time ends when any member takes a write.
func (st *stage) groupFails(e history.Event, do func() error) error {
	// Each write changes the row: a REPLACE by what is there already commits nothing, and needs no majority.
	write := func(client int) string {
		return fmt.Sprintf("REPLACE INTO %s.probe VALUES (%d, %d)", st.ns, client, time.Now().UnixNano())
	}
	if err := execute(st.db, "CREATE TABLE IF NOT EXISTS "+st.ns+".probe (client INT PRIMARY KEY, n BIGINT)"); err != nil {
		return err
	}
	f := failover{
		engine: newProbe(func(ctx context.Context) error {
			errs := make(chan error, len(st.group.Members))
			for i := range st.group.Members {
				go func() {
					_, err := st.group.DB(i).ExecContext(ctx, write(i))
					errs <- err
				}()
			}
			var err error
			for range st.group.Members {
				if err = <-errs; err == nil {
					return nil
				}
			}
			return err
		}),
		client: newProbe(func(ctx context.Context) error {
			_, err := st.db.ExecContext(ctx, write(len(st.group.Members)))
			return err
		}),
	}
	e.Blurs = true
	return st.fail(e, f, func(f failover) error {
		err := do()
		if err == nil {
			err = f.client.succeeded(time.Now())
		}
		return err
	})
}

// others are the members other than one.
func others(one int) []int { return []int{(one + 1) % 3, (one + 2) % 3} }

// inGroup does a fault of the group alone: all members are in it before, and again after it.
func (st *stage) inGroup(do func(g *group) error) error {
	st.mysqlMu.Lock()
	defer st.mysqlMu.Unlock()
	if err := st.group.whole(); err != nil {
		return err
	}
	if err := do(st.group); err != nil {
		return err
	}
	return st.group.whole()
}

// groupKill: kill -9 of the primary, which comes back later.
func groupKill(st *stage, r *rand.Rand) error {
	return st.inGroup(func(g *group) error {
		dead := g.leads()
		err := st.groupFails(history.Event{Kind: "groupkill"}, func() error {
			g.Members[dead].Kill()
			return g.settle(dead)
		})
		hold(between(r, 0, 5*time.Second))
		return err
	})
}

// groupMinority: two of three stop where they are for a while, so that nothing commits.
func groupMinority(st *stage, r *rand.Rand) error {
	while := between(r, 2*time.Second, 15*time.Second)
	if st.duration >= 10*time.Minute && r.IntN(3) == 0 {
		while = 65 * time.Second
	}
	return st.inGroup(func(g *group) error {
		still := others(g.leads())
		return st.groupFails(history.Event{Kind: "minority"}, func() error {
			for _, i := range still {
				g.Members[i].Pause()
			}
			hold(while)
			for _, i := range still {
				g.Members[i].Continue()
			}
			return g.settle(-1)
		})
	})
}

// groupPause: the primary stops where it is until the others have another one, and goes on.
// For some seconds it takes itself for the primary. The proxy leads to it then, as a careless
// router does: each other time.
func groupPause(st *stage, r *rand.Rand) error {
	careless, rest := r.IntN(2) == 0, between(r, 0, 5*time.Second)
	variant := "careful"
	if careless {
		variant = "careless"
	}
	return st.inGroup(func(g *group) error {
		old := g.leads()
		return st.groupFails(history.Event{Kind: "grouppause", Variant: variant}, func() error {
			g.Members[old].Pause()
			err := g.settle(old)
			hold(rest)
			if careless && err == nil {
				g.fix(old)
			}
			g.Members[old].Continue()
			for end := time.Now().Add(5 * time.Second); careless && err == nil && time.Now().Before(end); hold(followEvery) {
				if g.State(context.Background(), old) != "ONLINE" {
					break
				}
			}
			g.free()
			if err == nil {
				err = g.settle(-1)
			}
			return err
		})
	})
}

// groupBehind: a member that has not applied for a while becomes the primary, and serves before
// it has caught up.
func groupBehind(st *stage, r *rand.Rand) error {
	late, rest := between(r, 2*time.Second, 15*time.Second), between(r, time.Second, 5*time.Second)
	k := r.IntN(2)
	return st.inGroup(func(g *group) error {
		dead := g.leads()
		next := others(dead)[k]
		weigh := func(weight int) error {
			return execute(g.DB(next), fmt.Sprintf("SET GLOBAL group_replication_member_weight = %d", weight))
		}
		if err := weigh(likely); err != nil {
			return err
		}
		holder, err := g.holdUp(context.Background(), next, dead, st.ns)
		if err != nil {
			return err
		}
		hold(late)
		err = st.groupFails(history.Event{Kind: "behind"}, func() error {
			g.Members[dead].Kill()
			err := g.settle(dead)
			hold(rest)
			return errors.Join(err, holder.Close()) // which ends its lock
		})
		return errors.Join(err, weigh(usual))
	})
}

// holdUp has member i apply nothing that comes after now, until the connection that it returns
// is closed: the next transaction waits for a table that this connection has locked.
func (g *group) holdUp(ctx context.Context, i, primary int, ns string) (*sql.DB, error) {
	ballast := ns + ".holdup"
	if err := execute(g.DB(primary), "CREATE TABLE IF NOT EXISTS "+ballast+" (n INT PRIMARY KEY)"); err != nil {
		return nil, err
	}
	if err := execute(g.DB(primary), "REPLACE INTO "+ballast+" VALUES (1)"); err != nil {
		return nil, err
	}
	for n := 0; n == 0; pause(ctx, followEvery) { // the member has it
		if err := g.DB(i).QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.tables WHERE CONCAT(table_schema, '.', table_name) = ?", ballast).Scan(&n); err != nil {
			return nil, err
		}
	}
	holder, err := sql.Open("mysql", g.Members[i].DSN(""))
	if err != nil {
		return nil, err
	}
	holder.SetMaxOpenConns(1)
	for _, on := range []struct {
		db   *sql.DB
		stmt string
	}{{holder, "LOCK TABLES " + ballast + " READ"}, {g.DB(primary), "DELETE FROM " + ballast}} {
		if err := execute(on.db, on.stmt); err != nil {
			holder.Close()
			return nil, err
		}
	}
	return holder, nil
}
