package durable

import "github.com/triggerhook/triggerhook/task"

// fault is what an error number of a server, or of a proxy before it, means here.
type fault struct {
	kind error // sentinel of package task
	then then
}

// then is what a single call does after a fault. It does not say whether waiting helps: loops
// outside of this package wait unless an error is known to be final, and a number that is not in the
// table is not known to be final.
type then uint8

const (
	// stop: the call answers at once.
	stop then = iota
	// tryAgain: the statement or transaction had no effect, and the next try may succeed.
	tryAgain
	// tryApart: as tryAgain, but the cause may be one call of a group, so each of the calls goes alone.
	tryApart
	// leave: the call answers at once, and the connection is given up: the next one
	// may lead to another server.
	leave
	// broken: the connection is lost. The next try may succeed. Whether a COMMIT took effect
	// is not known.
	broken
)

// faults has each number with its name and where that is from: MySQL's server error
// reference (9.7, the names as perror prints them; "5.7+" where it is younger than 5.6),
// MariaDB's list (10.11 and 11.8), Vitess' go/mysql/sqlerror (v22), TiDB's error codes (v8),
// ProxySQL (2.7), the C client's list, which proxies answer with.
var faults = map[uint16]fault{
	// The schema.
	1146: {task.ErrNotMigrated, stop}, // ER_NO_SUCH_TABLE

	// Access. A running worker waits for these all the same: a password that is rotated, a
	// right that is revoked for a minute, a table that is swapped.
	1044: {task.ErrRefused, stop}, // ER_DBACCESS_DENIED_ERROR
	1045: {task.ErrRefused, stop}, // ER_ACCESS_DENIED_ERROR; MariaDB before 11.4: TLS is required, too
	1046: {task.ErrRefused, stop}, // ER_NO_DB_ERROR
	1049: {task.ErrRefused, stop}, // ER_BAD_DB_ERROR
	1130: {task.ErrRefused, stop}, // ER_HOST_NOT_PRIVILEGED
	1142: {task.ErrRefused, stop}, // ER_TABLEACCESS_DENIED_ERROR
	1143: {task.ErrRefused, stop}, // ER_COLUMNACCESS_DENIED_ERROR
	1227: {task.ErrRefused, stop}, // ER_SPECIFIC_ACCESS_DENIED_ERROR
	1251: {task.ErrRefused, stop}, // ER_NOT_SUPPORTED_AUTH_MODE
	1275: {task.ErrRefused, stop}, // ER_SERVER_IS_IN_SECURE_AUTH_MODE, until 8.0
	1524: {task.ErrRefused, stop}, // ER_PLUGIN_IS_NOT_LOADED: of the account's authentication
	1665: {task.ErrRefused, stop}, // ER_BINLOG_STMT_MODE_AND_ROW_ENGINE: binlog_format is STATEMENT
	1698: {task.ErrRefused, stop}, // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
	1820: {task.ErrRefused, stop}, // ER_MUST_CHANGE_PASSWORD
	1862: {task.ErrRefused, stop}, // ER_MUST_CHANGE_PASSWORD_LOGIN
	2059: {task.ErrRefused, stop}, // CR_AUTH_PLUGIN_CANNOT_LOAD, a proxy's
	3098: {task.ErrRefused, stop}, // ER_BEFORE_DML_VALIDATION_ERROR (5.7+): Group Replication does not take the table
	3118: {task.ErrRefused, stop}, // ER_ACCOUNT_HAS_BEEN_LOCKED (5.7+)
	3159: {task.ErrRefused, stop}, // ER_SECURE_TRANSPORT_REQUIRED (5.7+, MariaDB 11.4+)
	3879: {task.ErrRefused, stop}, // ER_DB_ACCESS_DENIED (8.0+)
	3955: {task.ErrRefused, stop}, // ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK (8.0+)
	4150: {task.ErrRefused, stop}, // MariaDB 10.4+: ER_USER_IS_BLOCKED
	4151: {task.ErrRefused, stop}, // MariaDB 10.4+: ER_ACCOUNT_HAS_BEEN_LOCKED

	// Size. 1197 and 1705 tell of bytes in the binary log: smaller statements may pass.
	1118: {task.ErrTooLarge, stop}, // ER_TOO_BIG_ROWSIZE
	1153: {task.ErrTooLarge, stop}, // ER_NET_PACKET_TOO_LARGE
	1197: {task.ErrTooLarge, stop}, // ER_TRANS_CACHE_FULL: max_binlog_cache_size
	1301: {task.ErrTooLarge, stop}, // ER_WARN_ALLOWED_PACKET_OVERFLOWED
	1406: {task.ErrTooLarge, stop}, // ER_DATA_TOO_LONG
	1705: {task.ErrTooLarge, stop}, // ER_STMT_CACHE_FULL: max_binlog_stmt_cache_size
	8004: {task.ErrTooLarge, stop}, // TiDB: transaction is too large

	// No writes here, at present: a server that was demoted, or has not been promoted yet.
	1036: {task.ErrReadOnly, leave}, // ER_OPEN_AS_READONLY
	1290: {task.ErrReadOnly, leave}, // ER_OPTION_PREVENTS_STATEMENT: read_only, super_read_only
	1792: {task.ErrReadOnly, leave}, // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
	1836: {task.ErrReadOnly, leave}, // ER_READ_ONLY_MODE
	1874: {task.ErrReadOnly, leave}, // ER_INNODB_READ_ONLY

	// The disk. Errors that name no reason but the operating system's are looked at (full).
	1021: {task.ErrDiskFull, stop}, // ER_DISK_FULL
	1114: {task.ErrDiskFull, stop}, // ER_RECORD_FILE_FULL: the table, or its tablespace
	3675: {task.ErrDiskFull, stop}, // ER_DISK_FULL_NOWAIT (8.0+)

	// Files and memory of the server.
	3:    {task.ErrUnavailable, stop}, // EE_WRITE
	1004: {task.ErrUnavailable, stop}, // ER_CANT_CREATE_FILE
	1005: {task.ErrUnavailable, stop}, // ER_CANT_CREATE_TABLE
	1015: {task.ErrUnavailable, stop}, // ER_CANT_LOCK
	1016: {task.ErrUnavailable, stop}, // ER_CANT_OPEN_FILE
	1024: {task.ErrUnavailable, stop}, // ER_ERROR_ON_READ
	1026: {task.ErrUnavailable, stop}, // ER_ERROR_ON_WRITE
	1030: {task.ErrUnavailable, stop}, // ER_GET_ERRNO
	1037: {task.ErrUnavailable, stop}, // ER_OUTOFMEMORY
	1038: {task.ErrUnavailable, stop}, // ER_OUT_OF_SORTMEMORY
	1041: {task.ErrUnavailable, stop}, // ER_OUT_OF_RESOURCES; Vitess: the transaction was throttled
	1135: {task.ErrUnavailable, stop}, // ER_CANT_CREATE_THREAD
	1206: {task.ErrUnavailable, stop}, // ER_LOCK_TABLE_FULL
	1598: {task.ErrUnavailable, stop}, // ER_BINLOG_LOGGING_IMPOSSIBLE
	1637: {task.ErrUnavailable, stop}, // ER_TOO_MANY_CONCURRENT_TRXS
	1878: {task.ErrUnavailable, stop}, // ER_TEMP_FILE_WRITE_FAILURE
	3170: {task.ErrUnavailable, stop}, // ER_CAPACITY_EXCEEDED (5.7+)

	// Connections.
	1040: {task.ErrUnavailable, stop}, // ER_CON_COUNT_ERROR
	1043: {task.ErrUnavailable, stop}, // ER_HANDSHAKE_ERROR
	1129: {task.ErrUnavailable, stop}, // ER_HOST_IS_BLOCKED, until the hosts are flushed
	1203: {task.ErrUnavailable, stop}, // ER_TOO_MANY_USER_CONNECTIONS
	1226: {task.ErrUnavailable, stop}, // ER_USER_LIMIT_REACHED
	1461: {task.ErrUnavailable, stop}, // ER_MAX_PREPARED_STMT_COUNT_REACHED
	2002: {task.ErrUnavailable, stop}, // CR_CONNECTION_ERROR
	2003: {task.ErrUnavailable, stop}, // CR_CONN_HOST_ERROR
	2005: {task.ErrUnavailable, stop}, // CR_UNKNOWN_HOST
	2026: {task.ErrUnavailable, stop}, // CR_SSL_CONNECTION_ERROR, between a proxy and its server
	9001: {task.ErrUnavailable, stop}, // ProxySQL: no server of the hostgroup within connect_timeout_server_max; TiDB: PD timed out
	9003: {task.ErrUnavailable, stop}, // ProxySQL: a server is missing from its hostgroup; TiDB: TiKV is busy
	9004: {task.ErrUnavailable, stop}, // ProxySQL: the server is offline; TiDB: conflicts
	9005: {task.ErrUnavailable, stop}, // ProxySQL: the server lags; TiDB: a region is unavailable

	// Time that is over.
	1028: {task.ErrUnavailable, stop}, // ER_FILSORT_ABORT
	1969: {task.ErrUnavailable, stop}, // MariaDB: ER_STATEMENT_TIMEOUT (max_statement_time)
	3024: {task.ErrUnavailable, stop}, // ER_QUERY_TIMEOUT (5.7+, max_execution_time)

	// A node that does not work at present, or a session that others have left locked.
	1047: {task.ErrUnavailable, leave}, // ER_UNKNOWN_COM_ERROR; Galera: the node has not joined its cluster
	1099: {task.ErrUnavailable, leave}, // ER_TABLE_NOT_LOCKED_FOR_WRITE
	1100: {task.ErrUnavailable, leave}, // ER_TABLE_NOT_LOCKED
	1192: {task.ErrUnavailable, leave}, // ER_LOCK_OR_ACTIVE_TRANSACTION
	1223: {task.ErrUnavailable, leave}, // ER_CANT_UPDATE_WITH_READLOCK
	3032: {task.ErrUnavailable, leave}, // ER_SERVER_OFFLINE_MODE (5.7+)
	3100: {task.ErrUnavailable, leave}, // ER_RUN_HOOK_ERROR (5.7+): Group Replication takes no transaction
	3168: {task.ErrUnavailable, leave}, // ER_SERVER_ISNT_AVAILABLE (5.7+)
	3796: {task.ErrUnavailable, leave}, // ER_GRP_TRX_CONSISTENCY_NOT_ALLOWED (8.0+)
	3797: {task.ErrUnavailable, leave}, // ER_GRP_TRX_CONSISTENCY_BEFORE (8.0+)
	9006: {task.ErrUnavailable, leave}, // ProxySQL: the connection is locked to another hostgroup; TiDB: too old a snapshot

	// Another transaction was first, or the table has changed.
	1020: {task.ErrUnavailable, tryAgain}, // ER_CHECKREAD (MariaDB 11.6+: innodb_snapshot_isolation)
	1205: {task.ErrUnavailable, tryApart}, // ER_LOCK_WAIT_TIMEOUT
	1213: {task.ErrUnavailable, tryAgain}, // ER_LOCK_DEADLOCK; Galera: certification failed
	1412: {task.ErrUnavailable, tryAgain}, // ER_TABLE_DEF_CHANGED
	1615: {task.ErrUnavailable, tryAgain}, // ER_NEED_REPREPARE
	3058: {task.ErrUnavailable, tryAgain}, // ER_USER_LOCK_DEADLOCK (5.7+)
	3101: {task.ErrUnavailable, tryAgain}, // ER_TRANSACTION_ROLLBACK_DURING_COMMIT (5.7+): Group Replication certified another one
	8002: {task.ErrUnavailable, tryAgain}, // TiDB: conflict of a SELECT FOR UPDATE
	8005: {task.ErrUnavailable, tryAgain}, // TiDB: write conflict
	8022: {task.ErrUnavailable, tryAgain}, // TiDB: the commit failed, and was rolled back
	8028: {task.ErrUnavailable, tryAgain}, // TiDB: the schema has changed
	9007: {task.ErrUnavailable, tryAgain}, // TiDB: write conflict

	// The connection, or what became of a commit, is lost.
	1053: {task.ErrUnavailable, broken}, // ER_SERVER_SHUTDOWN
	1079: {task.ErrUnavailable, broken}, // ER_SHUTDOWN_COMPLETE
	1080: {task.ErrUnavailable, broken}, // ER_FORCING_CLOSE
	1105: {task.ErrUnavailable, broken}, // ER_UNKNOWN_ERROR; Vitess: a tablet that is away, a failover
	1152: {task.ErrUnavailable, broken}, // ER_ABORTING_CONNECTION
	1158: {task.ErrUnavailable, broken}, // ER_NET_READ_ERROR
	1159: {task.ErrUnavailable, broken}, // ER_NET_READ_INTERRUPTED
	1160: {task.ErrUnavailable, broken}, // ER_NET_ERROR_ON_WRITE
	1161: {task.ErrUnavailable, broken}, // ER_NET_WRITE_INTERRUPTED
	1180: {task.ErrUnavailable, broken}, // ER_ERROR_DURING_COMMIT
	1184: {task.ErrUnavailable, broken}, // ER_NEW_ABORTING_CONNECTION
	1317: {task.ErrUnavailable, broken}, // ER_QUERY_INTERRUPTED; Vitess: its deadline is over
	1815: {task.ErrUnavailable, broken}, // ER_INTERNAL_ERROR: MaxScale, Vitess
	1835: {task.ErrUnavailable, broken}, // ER_MALFORMED_PACKET
	1927: {task.ErrUnavailable, broken}, // MariaDB: ER_CONNECTION_KILLED; MaxScale: it lost its server
	2006: {task.ErrUnavailable, broken}, // CR_SERVER_GONE_ERROR
	2013: {task.ErrUnavailable, broken}, // CR_SERVER_LOST
	2027: {task.ErrUnavailable, broken}, // CR_MALFORMED_PACKET
	2055: {task.ErrUnavailable, broken}, // CR_SERVER_LOST_EXTENDED
	3169: {task.ErrUnavailable, broken}, // ER_SESSION_WAS_KILLED (5.7+)
	4031: {task.ErrUnavailable, broken}, // ER_CLIENT_INTERACTION_TIMEOUT (8.0+)
	9002: {task.ErrUnavailable, broken}, // TiDB: TiKV timed out; ProxySQL: a server is missing
}
