package durable

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// FreshRead: a member of a group of MySQL servers (Group Replication) that lags, or that was
// deposed and does not know it, answers reads from what it has, and a DELETE that meets no row
// without an error. Both are old, and both are acted upon here: a task whose row is not met is
// gone, and its member is removed from the hot set; a row that is read is offered
// (docs/model/stale.pml).
//
// Protocol. A statement that reads waits until its server has applied all that the group had
// ordered before (group_replication_consistency BEFORE); a server that the group does not hear
// answers 3796 or 3797 in place of rows, or nothing until its caller gives up. So each
// connection is in one of two modes, and each call takes it in the one that it needs:
//
//   - fresh: it waits as above. All calls that read.
//   - certified: it does not wait. Calls that write: what a statement changes is certified by the
//     group when it commits, wherever it ran, so that a change which was made of old rows fails.
//     What such a statement has not met is not certified. Before a call concludes anything
//     from that it turns its connection to fresh, and looks again.
//
// A server that is alone, or that knows no BEFORE (before 8.0.14), stays in fresh, which costs
// nothing there.
type mode uint8

const (
	fresh mode = iota
	certified
)

const (
	consistency   = "group_replication_consistency"
	before        = "BEFORE"
	groupVariable = "group_replication_group_name" // exists where the plugin is loaded
)

// groupModes are the assignments that make a session's mode.
type groupModes struct {
	fresh     string // empty: the server knows no consistency
	certified string // empty: the session is always fresh
}

// newGroupModes makes them for a server with these variables. In fresh, wait_timeout bounds the
// wait inside the server, whose thread does not notice that its client has gone.
func newGroupModes(has map[string]string) groupModes {
	is, known := has[consistency]
	if !known {
		return groupModes{}
	}
	level := before
	if strings.HasSuffix(is, "AFTER") { // also: a commit waits until all members have applied it
		level = "BEFORE_AND_AFTER"
	}
	g := groupModes{fresh: fmt.Sprintf("%s = '%s'", consistency, level)}
	if has[groupVariable] == "" {
		return g
	}
	g.fresh += fmt.Sprintf(", wait_timeout = %d", int(statementTimeout.Seconds()))
	if is != level {
		g.certified = fmt.Sprintf("%s = '%s', wait_timeout = %s", consistency, is, has["wait_timeout"])
	}
	return g
}

// link is what is known of a driver's connection whose session is set. Whichever call has the
// connection has the link.
type link struct {
	group groupModes
	mode  mode
}

// turn puts the connection of l in a mode.
func (l *link) turn(ctx context.Context, conn *sql.Conn, to mode) error {
	if l.mode == to || l.group.certified == "" {
		return nil
	}
	set := l.group.fresh
	if to == certified {
		l.mode, set = certified, l.group.certified // also if the answer is lost
	}
	_, err := conn.ExecContext(ctx, "SET SESSION "+set)
	if err == nil {
		l.mode = to
	}
	return err
}

// refresh turns conn to fresh, and reports whether that has changed anything: if so, what a
// statement has not met before is to be looked for again.
func (m *MySQL) refresh(ctx context.Context, conn *sql.Conn) (changed bool, err error) {
	key, err := driverConn(conn)
	if err != nil {
		return false, err
	}
	l := m.linkOf(key)
	if l == nil { // forgotten since, or not to be told from others
		s := m.session.Load()
		if s == nil {
			return false, nil
		}
		l = &link{group: s.group, mode: certified}
	}
	changed = l.mode == certified && l.group.certified != ""
	return changed, l.turn(ctx, conn, fresh)
}
