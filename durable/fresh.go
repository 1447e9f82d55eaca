package durable

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// FreshRead: a member of a group of MySQL servers (Group Replication) may lag, or may have been
// deposed without knowing it. Its reads are stale then, and a DELETE there may meet no row, without
// an error. The library acts upon both: if a row is not met, the task counts as gone, and its
// member is removed from the hot set; if a row is read, the task is offered
// (docs/model/stale.pml).
//
// Protocol. A statement that reads waits until its server has applied everything that the group had
// ordered before (group_replication_consistency BEFORE). A server that the group does not hear
// answers 3796 or 3797 in place of rows, or nothing until its caller gives up. So each
// connection is in one of two modes, and each call puts it in the mode that it needs:
//
//   - fresh: the connection waits as above. All calls that read use it.
//   - certified: the connection does not wait. Calls that write use it: the group certifies what a
//     statement changes when it commits, so a change that was made on stale rows fails. The group
//     does not certify that a row was not met. Before a call concludes anything from that it turns
//     its connection to fresh, and looks again.
//
// A server that is alone, or that has no BEFORE (before 8.0.14), stays in fresh, which costs
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

// newGroupModes returns the modes for a server with these variables. In fresh, wait_timeout bounds the
// wait inside the server, because a thread of the server does not notice that its client has gone.
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

// link is what is known of a driver's connection whose session is set. The call that uses the
// connection owns its link.
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

// turnFresh turns conn to fresh, and reports whether that has changed anything. If it has, the caller
// looks again for the rows that its statement has not met.
func (m *MySQL) turnFresh(ctx context.Context, conn *sql.Conn) (changed bool, err error) {
	key, err := driverConn(conn)
	if err != nil {
		return false, err
	}
	l := m.linkOf(key)
	if l == nil { // forgotten since, or it cannot be compared with others
		s := m.session.Load()
		if s == nil {
			return false, nil
		}
		l = &link{group: s.group, mode: certified}
	}
	changed = l.mode == certified && l.group.certified != ""
	return changed, l.turn(ctx, conn, fresh)
}
