package doctor

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// judgeMySQL judges the variables of a server, those of a session that the library has set, and the server's counters.
func judgeMySQL(global, session, status settings) []Finding {
	return []Finding{mysqlVersion(global), flush(global), binlog(global), sessionKept(session), writable(global), semiSync(global, status), connections(global, status)}
}

var numbers = regexp.MustCompile(`(\d+)\.(\d+)(?:\.(\d+))?`)

// atLeast reports whether the first version that text names is at least major.minor.patch.
func atLeast(text string, major, minor, patch int) bool {
	m := numbers.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	for i, want := range []int{major, minor, patch} {
		if got, _ := strconv.Atoi(m[i+1]); got != want {
			return got > want
		}
	}
	return true
}

func mysqlVersion(v settings) Finding {
	version := v["version"]
	f := Finding{Check: "mysql.version", Status: OK, Seen: strings.TrimSpace(version + " " + v["version_comment"])}
	supported := atLeast(version, 5, 7, 0)
	if strings.Contains(version, "MariaDB") {
		supported = atLeast(strings.TrimPrefix(version, "5.5.5-"), 10, 6, 0) // the prefix is what an old protocol asks for
	}
	if !supported {
		f.Status, f.Means, f.Mend = Warning, "The library supports MySQL 5.7 to 9, and MariaDB 10.6 and later.", "Upgrade the server."
	}
	return f
}

func flush(v settings) Finding {
	is := v["innodb_flush_log_at_trx_commit"]
	f := Finding{Check: "mysql.flush", Status: OK, Seen: "innodb_flush_log_at_trx_commit = " + is}
	if is != "1" {
		f.Status, f.Means = Warning, "A crash of the machine loses about a second of commits: tasks that Create had acknowledged, and confirms, whose tasks fire again."
		f.Mend = "SET PERSIST innodb_flush_log_at_trx_commit = 1 (in my.cnf before MySQL 8). Commits of many callers share a flush."
	}
	return f
}

func binlog(v settings) Finding {
	f := Finding{Check: "mysql.binlog", Status: OK, Seen: "no binary log"}
	if !v.is("log_bin") {
		return f
	}
	f.Seen = fmt.Sprintf("sync_binlog = %s, binlog_format = %s", v["sync_binlog"], v["binlog_format"])
	switch {
	case strings.EqualFold(v["binlog_format"], "STATEMENT"):
		f.Status, f.Means, f.Mend = Error, "InnoDB takes no write with it under READ COMMITTED, so no worker starts.", "SET PERSIST binlog_format = ROW (in my.cnf before MySQL 8), and connect again."
	case v["sync_binlog"] != "1":
		f.Status, f.Means = Warning, "After a crash of the machine the binary log may lack the last commits: replicas, and a server that recovers by it, lose tasks."
		f.Mend = "SET PERSIST sync_binlog = 1 (in my.cnf before MySQL 8)."
	}
	return f
}

// sessionKept judges a session that the library has set: a proxy that shares connections among clients may have lost what was set.
func sessionKept(v settings) Finding {
	isolation := v["transaction_isolation"] + v["tx_isolation"] // servers have one of them, or both
	f := Finding{Check: "mysql.session", Status: OK, Seen: fmt.Sprintf("isolation %s, sql_mode %s, character set %s, time zone %s, lock waits of %s s and %s s, set by the library for each connection",
		isolation, v["sql_mode"], v["character_set_client"], v["time_zone"], v["innodb_lock_wait_timeout"], v["lock_wait_timeout"])}
	kept := strings.Contains(isolation, "READ-COMMITTED") && v["sql_mode"] == "STRICT_ALL_TABLES" && v["character_set_client"] == "binary" &&
		v["character_set_connection"] == "binary" && v["innodb_lock_wait_timeout"] == "1" && v["lock_wait_timeout"] == "2" && v.is("autocommit")
	if !kept {
		f.Status, f.Means = Error, "Something between this command and the server does not keep a session with its client: what the library sets is lost, and values may be cut or converted."
		f.Mend = "Turn off multiplexing for this user in the proxy (ProxySQL: mysql-multiplexing, or set the variables there)."
	}
	return f
}

func writable(v settings) Finding {
	var on []string
	for _, name := range []string{"read_only", "super_read_only", "innodb_read_only", "transaction_read_only", "offline_mode"} {
		if v.is(name) {
			on = append(on, name)
		}
	}
	if len(on) == 0 {
		return Finding{Check: "mysql.writable", Status: OK, Seen: "takes writes"}
	}
	mend := "Lead --store to the server that takes the writes. If this one was promoted: SET GLOBAL super_read_only = OFF, read_only = OFF."
	if v["group_replication_group_name"] != "" {
		mend = "Lead --store to the primary of the group." // a member that takes writes beside the primary would break the group
	}
	return Finding{"mysql.writable", Error, strings.Join(on, ", ") + " = ON", "Nothing can be created, confirmed or deleted: this is a replica, or a failover is not finished.", mend}
}

// semiSync tells whether commits wait for a replica.
func semiSync(v, status settings) Finding {
	f := Finding{Check: "mysql.semisync", Status: OK, Seen: "commits wait for no replica"}
	for _, role := range []string{"source", "master"} {
		prefix := "rpl_semi_sync_" + role
		if !v.is(prefix + "_enabled") {
			continue
		}
		f.Seen = fmt.Sprintf("commits wait for a replica, at most %s ms, %s", v[prefix+"_timeout"], v[prefix+"_wait_point"])
		if status[prefix+"_status"] != "" && !status.is(prefix+"_status") {
			f.Status, f.Means = Warning, "Semi-synchronous replication is switched on and does not work at present: a failover may lose tasks."
			f.Mend = "Look at the replicas: SHOW REPLICA STATUS, and rpl_semi_sync_replica_enabled there."
		} else if v[prefix+"_wait_point"] == "AFTER_COMMIT" {
			f.Status, f.Means = Warning, "Others see a commit before a replica has it: a worker may act on a row that a failover takes back."
			f.Mend = "SET PERSIST " + prefix + "_wait_point = AFTER_SYNC"
		}
	}
	return f
}

func connections(v, status settings) Finding {
	most, used := v.number("max_connections"), status.number("max_used_connections")
	f := Finding{Check: "mysql.connections", Status: OK, Seen: fmt.Sprintf("%s of %d connections, at most %d since the start", status["threads_connected"], most, used)}
	if used*100 >= most*85 {
		f.Status, f.Means = Warning, "Near the limit new connections are refused, and calls of workers and producers fail for that time."
		f.Mend = "SET PERSIST max_connections = " + strconv.FormatInt(2*most, 10) + ", or SetMaxOpenConns in each process."
	}
	return f
}

// judgeGroup judges the settings of Group Replication that docs/operations.md names.
func judgeGroup(v settings) []Finding {
	return []Finding{groupVersion(v), groupMode(v), groupMajority(v), groupTransaction(v)}
}

func groupVersion(v settings) Finding {
	f := Finding{Check: "mysql.group.reads", Status: OK, Seen: "reads wait for what the group has committed (BEFORE, set by the library); the server has " + v["group_replication_consistency"]}
	if !atLeast(v["version"], 8, 0, 14) {
		f.Status, f.Seen, f.Means, f.Mend = Error, "group replication on "+v["version"], "A member that is behind is not noticed: a confirmed task may fire again.", "Upgrade to MySQL 8.0.14 or later."
	}
	return f
}

func groupMode(v settings) Finding {
	f := Finding{Check: "mysql.group.mode", Status: OK, Seen: "single-primary"}
	if !v.is("group_replication_single_primary_mode") {
		f.Status, f.Seen = Warning, "multi-primary"
		f.Means, f.Mend = "Processes that write to different members conflict with each other; it is not tested.", "SELECT group_replication_switch_to_single_primary_mode()"
	}
	return f
}

func groupMajority(v settings) Finding {
	is := v["group_replication_unreachable_majority_timeout"]
	f := Finding{Check: "mysql.group.majority", Status: OK, Seen: "group_replication_unreachable_majority_timeout = " + is}
	if is == "0" {
		f.Status, f.Means = Warning, "Without a majority each call that was given up keeps its session at the server, until max_connections is reached."
		f.Mend = "SET PERSIST group_replication_unreachable_majority_timeout = 20"
	}
	return f
}

func groupTransaction(v settings) Finding {
	const least = 80 << 20
	is := v.number("group_replication_transaction_size_limit")
	f := Finding{Check: "mysql.group.size", Status: OK, Seen: fmt.Sprintf("group_replication_transaction_size_limit = %d", is)}
	if is > 0 && is < least {
		f.Status, f.Means = Warning, "A Create of many tasks is one transaction of up to 64 MiB and its overhead, and would be refused."
		f.Mend = "SET PERSIST group_replication_transaction_size_limit = 150000000, or create fewer at once."
	}
	return f
}
