package doctor

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"
)

// goodMySQL and the like are what a server tells that needs no mending.
var (
	goodMySQL = settings{"version": "8.4.3", "version_comment": "MySQL Community Server - GPL", "innodb_flush_log_at_trx_commit": "1", "log_bin": "ON", "sync_binlog": "1",
		"binlog_format": "ROW", "max_connections": "500", "read_only": "OFF", "super_read_only": "OFF", "transaction_isolation": "READ-COMMITTED", "sql_mode": "STRICT_ALL_TABLES",
		"character_set_client": "binary", "character_set_connection": "binary", "innodb_lock_wait_timeout": "1", "lock_wait_timeout": "2", "autocommit": "ON"}
	goodStatus = settings{"threads_connected": "10", "max_used_connections": "20"}
	goodGroup  = settings{"version": "9.7.4", "group_replication_consistency": "EVENTUAL", "group_replication_single_primary_mode": "ON",
		"group_replication_unreachable_majority_timeout": "20", "group_replication_transaction_size_limit": "150000000"}
	goodInfo = settings{"redis_version": "7.0.15", "redis_mode": "standalone", "role": "master", "connected_slaves": "1", "used_memory": "1000000", "maxmemory": "1000000000",
		"maxmemory_policy": "noeviction", "aof_enabled": "0", "rdb_last_bgsave_status": "ok"}
	goodConfig = settings{"client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", "timeout": "0", "stop-writes-on-bgsave-error": "yes",
		"min-replicas-to-write": "0", "save": "", "appendfsync": "everysec"}
)

// with returns a copy of s with other values.
func (s settings) with(other settings) settings {
	all := maps.Clone(s)
	maps.Copy(all, other)
	return all
}

func judgeAll(mysql, redis, status settings) []Finding {
	group := goodGroup.with(mysql)
	if mysql["group_replication_consistency"] == "" { // the version is meant for a server alone
		group["version"] = goodGroup["version"]
	}
	all := append(judgeMySQL(goodMySQL.with(mysql), goodMySQL.with(mysql), goodStatus.with(status)), judgeGroup(group)...)
	return append(all, judgeRedis(goodInfo.with(redis), goodConfig.with(redis), 500_000)...)
}

func TestGoodServersNeedNoMending(t *testing.T) {
	all := judgeAll(nil, nil, nil)
	if len(all) < 19 {
		t.Errorf("%d findings, want all", len(all))
	}
	for _, f := range all {
		if f.Status != OK {
			t.Errorf("a good server: %+v", f)
		}
	}
}

// Each setting that matters is found by exactly the check that is about it, which says what it means and how to mend it.
func TestEachBadSettingIsFound(t *testing.T) {
	for _, c := range []struct {
		check  string
		status Status
		mysql  settings
		redis  settings
		more   settings // status counters of MySQL
	}{
		{check: "mysql.version", status: Warning, mysql: settings{"version": "5.6.51-log"}},
		{check: "mysql.version", status: Warning, mysql: settings{"version": "10.5.29-MariaDB"}},
		{check: "mysql.flush", status: Warning, mysql: settings{"innodb_flush_log_at_trx_commit": "2"}},
		{check: "mysql.flush", status: Warning, mysql: settings{"innodb_flush_log_at_trx_commit": "0"}},
		{check: "mysql.binlog", status: Warning, mysql: settings{"sync_binlog": "0"}},
		{check: "mysql.binlog", status: Error, mysql: settings{"binlog_format": "STATEMENT"}},
		{check: "mysql.session", status: Error, mysql: settings{"sql_mode": ""}},
		{check: "mysql.session", status: Error, mysql: settings{"transaction_isolation": "REPEATABLE-READ"}},
		{check: "mysql.session", status: Error, mysql: settings{"character_set_client": "utf8mb4"}},
		{check: "mysql.writable", status: Error, mysql: settings{"read_only": "ON"}},
		{check: "mysql.writable", status: Error, mysql: settings{"super_read_only": "1"}},
		{check: "mysql.connections", status: Warning, more: settings{"max_used_connections": "425"}},
		{check: "mysql.semisync", status: Warning, mysql: settings{"rpl_semi_sync_source_enabled": "ON", "rpl_semi_sync_source_wait_point": "AFTER_COMMIT"}},
		{check: "mysql.semisync", status: Warning, mysql: settings{"rpl_semi_sync_master_enabled": "ON", "rpl_semi_sync_master_wait_point": "AFTER_SYNC"}, more: settings{"rpl_semi_sync_master_status": "OFF"}},
		{check: "mysql.group.reads", status: Error, mysql: settings{"version": "8.0.13", "group_replication_consistency": "EVENTUAL"}},
		{check: "mysql.group.mode", status: Warning, mysql: settings{"group_replication_single_primary_mode": "OFF"}},
		{check: "mysql.group.majority", status: Warning, mysql: settings{"group_replication_unreachable_majority_timeout": "0"}},
		{check: "mysql.group.size", status: Warning, mysql: settings{"group_replication_transaction_size_limit": "10000000"}},
		{check: "redis.version", status: Error, redis: settings{"redis_version": "6.0.16"}},
		{check: "redis.version", status: Warning, redis: settings{"dragonfly_version": "df-v1.2"}},
		{check: "redis.role", status: Error, redis: settings{"role": "slave", "master_host": "other"}},
		{check: "redis.memory", status: Warning, redis: settings{"maxmemory": "100000000"}},
		{check: "redis.memory", status: Warning, redis: settings{"used_memory": "950000000"}},
		{check: "redis.policy", status: Error, redis: settings{"maxmemory_policy": "allkeys-lru"}},
		{check: "redis.persistence", status: Error, redis: settings{"rdb_last_bgsave_status": "err"}},
		{check: "redis.buffer", status: Warning, redis: settings{"client-output-buffer-limit": "normal 1048576 0 0 slave 0 0 0 pubsub 0 0 0"}},
		{check: "redis.timeout", status: Warning, redis: settings{"timeout": "5"}},
		{check: "redis.replicas", status: Error, redis: settings{"min-replicas-to-write": "2"}},
	} {
		found := false
		for _, f := range judgeAll(c.mysql, c.redis, c.more) {
			if f.Status == OK {
				continue
			}
			found = found || f.Check == c.check
			if f.Check != c.check || f.Status != c.status || f.Seen == "" || f.Means == "" || f.Mend == "" {
				t.Errorf("%v %v %v: %+v, want %s of %s, with what it means and how to mend it", c.mysql, c.redis, c.more, f, c.status, c.check)
			}
		}
		if !found {
			t.Errorf("%v %v %v: no finding of %s", c.mysql, c.redis, c.more, c.check)
		}
	}
}

// What may be is no finding.
func TestWhatMayBeIsNoFinding(t *testing.T) {
	for _, c := range []struct{ mysql, redis settings }{
		{mysql: settings{"version": "5.5.5-10.11.18-MariaDB-log"}},
		{mysql: settings{"version": "11.8.2-MariaDB", "tx_isolation": "READ-COMMITTED"}},
		{mysql: settings{"log_bin": "OFF", "sync_binlog": "0", "binlog_format": "STATEMENT"}},
		{redis: settings{"maxmemory": "0", "maxmemory_policy": "noeviction"}},
		{redis: settings{"maxmemory_policy": "volatile-lru"}},
		{redis: settings{"rdb_last_bgsave_status": "err", "stop-writes-on-bgsave-error": "no"}},
		{redis: settings{"valkey_version": "9.1.2", "redis_version": "7.2.4"}},
		{redis: settings{"client-output-buffer-limit": "normal 0 0 0 slave 1 1 1 pubsub 33554432 8388608 60"}},
	} {
		for _, f := range judgeAll(c.mysql, c.redis, nil) {
			if f.Status != OK {
				t.Errorf("%v %v: %+v", c.mysql, c.redis, f)
			}
		}
	}
}

// An offset counts only as far as the round trip leaves no doubt of it.
func TestAClockIsJudgedByMoreThanTheRoundTrip(t *testing.T) {
	began := time.Unix(1000, 0)
	for _, c := range []struct {
		trip, offset time.Duration
		want         Status
	}{
		{0, 999 * time.Millisecond, OK}, {0, 1001 * time.Millisecond, Warning}, {0, -1001 * time.Millisecond, Warning},
		{4 * time.Second, 2900 * time.Millisecond, OK}, {4 * time.Second, 3100 * time.Millisecond, Warning}, {4 * time.Second, -3100 * time.Millisecond, Warning},
	} {
		f := clock("clock", "means", "mend", time.Second, began, began.Add(c.trip), began.Add(c.trip/2+c.offset))
		if f.Status != c.want || (f.Mend == "") != (c.want == OK) {
			t.Errorf("offset %s after a round trip of %s: %+v, want %s", c.offset, c.trip, f, c.want)
		}
	}
}

// The advice never makes a second member of a group take writes.
func TestAMemberOfAGroupIsNotMadeWritable(t *testing.T) {
	alone := writable(settings{"super_read_only": "ON"})
	member := writable(settings{"super_read_only": "ON", "group_replication_group_name": "b0a4"})
	if !strings.Contains(alone.Mend, "SET GLOBAL") || strings.Contains(member.Mend, "SET") {
		t.Errorf("alone: %q, in a group: %q", alone.Mend, member.Mend)
	}
}

func TestTheWorstFindingCounts(t *testing.T) {
	for want, all := range map[Status][]Finding{
		OK:      {{Status: OK}, unread("x", errors.New("denied"))},
		Warning: {{Status: OK}, {Status: Warning}, {Status: Unread}},
		Error:   {{Status: Warning}, {Status: Error}, {Status: Warning}},
	} {
		if got := Worst(all); got != want {
			t.Errorf("the worst of %+v is %s, want %s", all, got, want)
		}
	}
}
