package doctor

import (
	"fmt"
	"strconv"
	"strings"
)

// judgeRedis judges what a server tells of itself. Config is nil if it may not be read.
func judgeRedis(info, config settings, hotTasks int) []Finding {
	all := []Finding{redisVersion(info), role(info), memory(info, hotTasks), policy(info), persistence(info, config)}
	if config != nil {
		all = append(all, outputBuffer(config), idleTimeout(config), minReplicas(info, config))
	}
	return all
}

func redisVersion(info settings) Finding {
	name, version := "Redis", info["redis_version"]
	for _, fork := range []string{"valkey", "redict", "keydb", "dragonfly"} {
		if v := info[fork+"_version"]; v != "" {
			name, version = strings.ToUpper(fork[:1])+fork[1:], fork+"_version "+v+", redis_version "+info["redis_version"]
		}
	}
	f := Finding{Check: "redis.version", Status: OK, Seen: fmt.Sprintf("%s %s, %s", name, version, info["redis_mode"]+info["server_mode"])}
	switch {
	case !atLeast(info["redis_version"], 6, 2, 0):
		f.Status, f.Means, f.Mend = Error, "The scripts use commands of Redis 6.2, so workers do not start.", "Upgrade to Redis 6.2 or later, or Valkey."
	case name == "Keydb" || name == "Dragonfly":
		f.Status, f.Means, f.Mend = Warning, "The library is tested with Redis and Valkey.", "Use Redis or Valkey."
	}
	return f
}

func role(info settings) Finding {
	f := Finding{Check: "redis.role", Status: OK, Seen: fmt.Sprintf("%s with %s replicas", info["role"], info["connected_slaves"])}
	if info["role"] != "master" {
		f.Status, f.Seen = Error, "a replica of "+info["master_host"]+":"+info["master_port"]
		f.Means, f.Mend = "It takes no writes, so nothing is claimed and delivered.", "Name the master in --hot, or use redis-sentinel://HOST:PORT?master_name=NAME."
	}
	return f
}

// taskBytes is what a task takes in Redis with a UUID as its ID and a payload of 100 (docs/operations.md).
const taskBytes = 315

func memory(info settings, hotTasks int) Finding {
	most, used := info.number("maxmemory"), info.number("used_memory")
	need := int64(hotTasks) * taskBytes
	f := Finding{Check: "redis.memory", Status: OK, Seen: fmt.Sprintf("%s used, %s allowed", mebibytes(used), mebibytes(most))}
	if most == 0 {
		f.Seen = mebibytes(used) + " used, no limit (maxmemory 0)"
		return f
	}
	switch {
	case used*100 > most*90:
		f.Status, f.Means = Warning, "At the limit Redis refuses what is added: tasks stay in the durable store until there is room, and may come late."
	case most < need:
		f.Status, f.Means = Warning, fmt.Sprintf("HotTasks = %d with payloads of 100 bytes need %s: a backlog fills it before HotTasks limits it.", hotTasks, mebibytes(need))
	default:
		return f
	}
	f.Mend = fmt.Sprintf("CONFIG SET maxmemory %d, or lower Options.HotTasks.", max(2*need, 2*used))
	return f
}

func mebibytes(n int64) string { return strconv.FormatInt(n>>20, 10) + " MiB" }

func policy(info settings) Finding {
	is := info["maxmemory_policy"]
	f := Finding{Check: "redis.policy", Status: OK, Seen: "maxmemory-policy " + is}
	if strings.HasPrefix(is, "allkeys") {
		f.Status, f.Means = Error, "At maxmemory Redis would drop parts of the hot set, and tombstones with them. Workers refuse it."
		f.Mend = "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf."
	}
	return f
}

// persistence tells what a restart of Redis loses: nothing that the durable store does not have.
func persistence(info, config settings) Finding {
	f := Finding{Check: "redis.persistence", Status: OK, Seen: "no AOF and no snapshots"}
	switch {
	case info["aof_enabled"] == "1":
		f.Seen = "AOF " + config["appendfsync"]
	case config["save"] != "":
		f.Seen = "snapshots, save " + config["save"]
	case config == nil:
		f.Seen = "no AOF; whether there are snapshots may not be read"
	}
	f.Means = "A restart loses no task: the hot set is loaded from the durable store. Delays of retries, and the last attempt, may be forgotten."
	if info["rdb_last_bgsave_status"] == "err" && config["stop-writes-on-bgsave-error"] != "no" {
		f.Status, f.Seen = Error, "the last snapshot failed, and stop-writes-on-bgsave-error is set"
		f.Means, f.Mend = "Redis takes no writes (MISCONF), so nothing is delivered.", "Make room on its disk, or CONFIG SET stop-writes-on-bgsave-error no; persistence is not needed: CONFIG SET save ''"
	}
	return f
}

// outputBuffer looks at the limit of ordinary clients: a claim's answer has up to 1 MiB of entries and the protocol around them.
func outputBuffer(config settings) Finding {
	const least = 4 << 20
	fields := strings.Fields(config["client-output-buffer-limit"])
	f := Finding{Check: "redis.buffer", Status: OK, Seen: "client-output-buffer-limit " + config["client-output-buffer-limit"]}
	for i := 0; i+1 < len(fields); i++ {
		hard, err := strconv.ParseInt(fields[i+1], 10, 64)
		if fields[i] == "normal" && err == nil && hard > 0 && hard < least {
			f.Status, f.Means = Warning, "An answer with up to 1 MiB of payloads may be longer: Redis closes the connection, and claims are repeated in smaller parts."
			f.Mend = `CONFIG SET client-output-buffer-limit "normal 0 0 0"`
		}
	}
	return f
}

func idleTimeout(config settings) Finding {
	f := Finding{Check: "redis.timeout", Status: OK, Seen: "timeout " + config["timeout"]}
	if s := config.number("timeout"); s > 0 && s < 30 {
		f.Status, f.Means = Warning, "Redis closes connections that are idle for so few seconds, and each call after a quiet time connects anew."
		f.Mend = "CONFIG SET timeout 0"
	}
	return f
}

func minReplicas(info, config settings) Finding {
	need, have := config.number("min-replicas-to-write"), info.number("connected_slaves")
	f := Finding{Check: "redis.replicas", Status: OK, Seen: fmt.Sprintf("min-replicas-to-write %d, %d replicas", need, have)}
	if need > have {
		f.Status, f.Means = Error, "Redis refuses writes (NOREPLICAS), so nothing is delivered. The library does not need the setting."
		f.Mend = "Bring the replicas back, or CONFIG SET min-replicas-to-write 0"
	}
	return f
}
