package hotset

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/task"
)

var (
	keyLine  = regexp.MustCompile(`(?m)^-- KEYS\[(\d+)\]  \S`)
	argLine  = regexp.MustCompile(`(?m)^-- ARGV\[(\d+)\]  \S`)
	lists    = regexp.MustCompile(`(?m)^-- (KEYS|ARGV)\[(\d+)\]  (?:batches|.*\.\.\.)`)
	keyUse   = regexp.MustCompile(`KEYS\[(\d+)\]`)
	argUse   = regexp.MustCompile(`ARGV\[(\d+)\]`)
	commands = regexp.MustCompile(`(?:redis\.p?call|each|\btry)\('(\w+)'`)
)

// old are the commands that Redis 6.2 has; scripts_test runs them in miniredis too.
var old = strings.Fields("TIME HMGET HSET HDEL HGET HEXISTS HLEN HSCAN HGETALL INFO UNLINK EXISTS SMISMEMBER SISMEMBER SADD SREM SMEMBERS " +
	"ZRANGE ZADD ZREM ZREMRANGEBYRANK ZCARD ZCOUNT ZSCORE PUBLISH")

// split parts a script's header from its body.
func split(text string) (header, body string) {
	var h, b []string
	for line := range strings.Lines(text) {
		if len(b) == 0 && strings.HasPrefix(line, "--") {
			h = append(h, line)
		} else {
			b = append(b, line)
		}
	}
	return strings.Join(h, ""), strings.Join(b, "")
}

func numbers(re *regexp.Regexp, text string) []int {
	var all []int
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		all = append(all, n)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func readLua(t *testing.T) map[string]string {
	t.Helper()
	dir, err := files.ReadDir("lua")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range dir {
		text, err := files.ReadFile("lua/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(f.Name(), ".lua")] = string(text)
	}
	return all
}

func TestEveryScriptDoesWhatItsHeaderSays(t *testing.T) {
	for verb, text := range readLua(t) {
		header, body := split(text)
		for _, want := range []string{"-- " + verb + ": ", "-- RETURNS  {"} {
			if !strings.Contains(header, want) {
				t.Errorf("header of %s.lua lacks %q", verb, want)
			}
		}
		if verb != "prelude" {
			for _, want := range []string{"-- COST     ", "A repeat is harmless"} {
				if !strings.Contains(header, want) {
					t.Errorf("header of %s.lua lacks %q", verb, want)
				}
			}
			if n := strings.Count(body, "\n"); n > 40 {
				t.Errorf("%s.lua has %d lines after its header, at most 40 are meant", verb, n)
			}
		}
		checkUses(t, verb, header, body)
		for _, m := range commands.FindAllStringSubmatch(body, -1) {
			if !slices.Contains(old, m[1]) {
				t.Errorf("%s.lua calls %s, which is not on the list of what Redis 6.2 and miniredis have", verb, m[1])
			}
		}
	}
}

// checkUses compares the keys and arguments that a header names with those that
// the body reads; a list at the end is read by an index that is computed.
func checkUses(t *testing.T, verb, header, body string) {
	t.Helper()
	for _, c := range []struct {
		name      string
		line, use *regexp.Regexp
	}{{"KEYS", keyLine, keyUse}, {"ARGV", argLine, argUse}} {
		named, used := numbers(c.line, header), numbers(c.use, body)
		for _, m := range lists.FindAllStringSubmatch(header, -1) {
			if n, _ := strconv.Atoi(m[2]); m[1] == c.name {
				named = slices.DeleteFunc(named, func(v int) bool { return v == n })
				used = slices.DeleteFunc(used, func(v int) bool { return v == n })
				if !regexp.MustCompile(c.name + `(\[[^\d\]]|\[\d+ [+*]|, \d)|add_members\(\d`).MatchString(body) {
					t.Errorf("%s.lua names %s[%d] as a list and reads none", verb, c.name, n)
				}
			}
		}
		if verb != "prelude" && !alone[verb] && c.name == "ARGV" { // the prelude names it
			used = slices.DeleteFunc(used, func(v int) bool { return v == 1 })
		}
		if verb == "prelude" && c.name == "KEYS" { // gone is read by a computed index
			used = append(used, 5, 6, 7)
		}
		if !slices.Equal(named, used) {
			t.Errorf("%s.lua: the header names %s %v, the body reads %v", verb, c.name, named, used)
		}
	}
}

var (
	argument = regexp.MustCompile(`(?m)^-- ((?:KEYS|ARGV)\[\d+\])  (\w+)(?:  |$)`)
	assigned = regexp.MustCompile(`(?m)^local ([\w, ]+) = (.*)$`)
	one      = regexp.MustCompile(`\b(?:KEYS|ARGV)\[\d+\]`)
)

// badNames returns which arguments of a script its body reads under another name than its header gives them, or in more than one place.
func badNames(header, body string) (bad []string) {
	called := map[string][]string{} // the names that the body gives to an argument
	for _, m := range assigned.FindAllStringSubmatch(body, -1) {
		names := strings.Split(m[1], ", ")
		for i, value := range strings.Split(m[2], ", ") {
			if arg := one.FindString(value); arg != "" && i < len(names) {
				called[arg] = append(called[arg], names[i])
			}
		}
	}
	for _, m := range argument.FindAllStringSubmatch(header, -1) {
		arg, name := m[1], m[2]
		if lists.MatchString("-- "+arg+"  "+name) || strings.Contains(header, "-- "+arg+"  "+name+", ") {
			continue // a list is read by an index
		}
		if got := called[arg]; len(got) != 1 || got[0] != name || strings.Count(body, arg) != 1 {
			bad = append(bad, fmt.Sprintf("%s is %q in the header, and %q in the body, which reads it in %d places", arg, name, got, strings.Count(body, arg)))
		}
	}
	return bad
}

func TestEveryScriptNamesItsArgumentsAsItsHeaderDoes(t *testing.T) {
	for verb, text := range readLua(t) {
		if header, body := split(text); verb != "prelude" {
			for _, bad := range badNames(header, body) {
				t.Errorf("%s.lua: %s", verb, bad)
			}
		}
	}
	for name, text := range map[string]string{
		"another name":   "-- ARGV[2]  limit  most\nlocal most = ARGV[2]\n",
		"another order":  "-- ARGV[2]  limit  most\n-- ARGV[3]  skip  kept\nlocal limit, skip = ARGV[3], ARGV[2]\n",
		"a second place": "-- ARGV[2]  limit  most\nlocal limit = ARGV[2]\nreturn ARGV[2]\n",
		"no name":        "-- ARGV[2]  limit  most\nreturn {'OK', now, ARGV[2]}\n",
	} {
		if header, body := split(text); len(badNames(header, body)) == 0 {
			t.Errorf("%s was not noticed in %q", name, text)
		}
	}
}

// The prelude's numbers for answers, and its other constants, are those of Go.
func TestThePreludeHasTheConstantsOfGo(t *testing.T) {
	text := readLua(t)["prelude"]
	line := regexp.MustCompile(`(?m)^local (ABSENT[A-Z_, ]*) = ([\d, ]*)$`).FindStringSubmatch(text)
	if line == nil {
		t.Fatal("the prelude names no answers")
	}
	names, values := strings.Split(line[1], ", "), strings.Split(line[2], ", ")
	want := map[string]int{"ABSENT": codeAbsent, "WAITING": codeWaiting, "CLAIMED": codeClaimed, "ELSEWHERE": codeElsewhere,
		"BEYOND": codeBeyond, "DEAD": codeDead, "ORPHAN": codeOrphan, "PRESENT": codePresent, "ASK_AGAIN": codeAgain}
	if len(names) != len(want) || len(values) != len(want) {
		t.Fatalf("the prelude has answers %q with values %q, want the %d of Go", names, values, len(want))
	}
	for i, name := range names {
		if n, is := want[name]; !is || values[i] != strconv.Itoa(n) {
			t.Errorf("the prelude has %s = %s, want %d (of Go: %t)", name, values[i], n, is)
		}
	}
	if other := fmt.Sprintf("local T, FORMAT = %d, '%s'", task.TombstoneTTL.Microseconds(), entryFormat); !strings.Contains(text, other) {
		t.Errorf("the prelude lacks %q", other)
	}
}

// calls is a hook that notes what Go passes to each script.
type calls struct {
	verbs map[string]string // by sha1
	seen  map[string][][2]int
}

func (c *calls) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *calls) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if a := cmd.Args(); cmd.Name() == "evalsha" {
			verb, keys := c.verbs[a[1].(string)], a[2].(int)
			c.seen[verb] = append(c.seen[verb], [2]int{keys, len(a) - 3 - keys})
		}
		return next(ctx, cmd)
	}
}

func (c *calls) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func watchCalls(rdb *redis.Client, r *Redis) *calls {
	c := &calls{verbs: map[string]string{}, seen: map[string][][2]int{}}
	for verb, s := range r.scripts {
		c.verbs[s.Hash()] = verb
	}
	rdb.AddHook(c)
	return c
}

// Once it is known about how far the hot set reaches, what is due long after that is
// sent only if it turns out to reach further by now.
func TestWhatIsFarIsNotSentButTakenAllTheSame(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	defer rdb.Close()
	r, err := NewRedis(rdb, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 40, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	const none, member = 3, 6 // arguments of a call
	far := int64(1<<40 + 11_000)
	c := watchCalls(rdb, r)
	for i, step := range []struct {
		raise int64
		due   int64
		want  task.AddOutcome
		sent  []int
	}{
		{0, far, task.AddBeyond, []int{member}}, // nothing is known yet
		{0, far, task.AddBeyond, []int{none}},
		{0, 1<<40 + 1000, task.AddBeyond, []int{member}}, // near: the horizon may be there by now
		{0, 1<<40 - 1, task.AddTaken, []int{member}},
		{far + 1, far, task.AddTaken, []int{none, member}},
		{0, far + 1, task.AddBeyond, []int{member}},
	} {
		if step.raise > 0 {
			if _, err := r.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 1, HorizonMS: step.raise, Limit: 10}); err != nil {
				t.Fatal(err)
			}
		}
		c.seen = map[string][][2]int{}
		e := task.Entry{Ref: task.Ref{ID: "a", Ver: int64(i)}, NextMS: step.due}
		got, err := r.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: []task.Entry{e}})
		if err != nil || got[0] != step.want {
			t.Errorf("step %d: Add answered %v, %v; want %d", i, got, err, step.want)
		}
		var sent []int
		for _, call := range c.seen["add"] {
			sent = append(sent, call[1])
		}
		if !slices.Equal(sent, step.sent) {
			t.Errorf("step %d: scripts got %v arguments, want %v", i, sent, step.sent)
		}
	}
}

// Each verb is called with as many keys and arguments as its header names.
func TestCallersPassWhatTheHeadersName(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	defer rdb.Close()
	r, err := NewRedis(rdb, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := watchCalls(rdb, r)
	callAll(t, r)
	prelude, _ := split(readLua(t)["prelude"])
	for verb, text := range readLua(t) {
		if verb == "prelude" {
			continue
		}
		header, _ := split(text)
		keys, args := numbers(keyLine, header), numbers(argLine, header)
		if !alone[verb] {
			keys, args = append(keys, numbers(keyLine, prelude)...), append(args, numbers(argLine, prelude)...)
		}
		open := map[string]bool{}
		for _, m := range lists.FindAllStringSubmatch(header, -1) {
			open[m[1]] = true
		}
		if len(c.seen[verb]) == 0 {
			t.Errorf("no method called %s", verb)
		}
		for _, got := range c.seen[verb] {
			if !fits(got[0], len(keys), open["KEYS"]) || !fits(got[1], len(args), open["ARGV"]) {
				t.Errorf("%s was called with %d keys and %d arguments; its header names %d and %d (lists: %v)", verb, got[0], got[1], len(keys), len(args), open)
			}
		}
	}
}

func fits(got, named int, list bool) bool { return got == named || list && got >= named-1 }

func callAll(t *testing.T, r *Redis) {
	t.Helper()
	ctx := t.Context()
	e := []task.Entry{{Ref: task.Ref{ID: "a", Ver: 1}, NextMS: 1}, {Ref: task.Ref{ID: "b", Ver: 1}, NextMS: 1}}
	refs := []task.Ref{e[0].Ref, e[1].Ref}
	f, err := r.Horizon(ctx, 0, task.HorizonRequest{Epoch: 1, HorizonMS: 1 << 40, Limit: 10})
	for name, call := range map[string]func() error{
		"horizon": func() error { return err },
		"clock":   func() error { r.seen[0] = sighting{}; _, err := r.Clock(ctx, 0); return err },
		"state":   func() error { _, err := r.State(ctx, 0); return err },
		"waiting": func() error { _, err := r.Waiting(ctx, 0, 1, 2); return err },
		"feed": func() error {
			_, err := r.Feed(ctx, 0, task.FeedRequest{AsOf: f.AsOf, Epoch: 1, Entries: e, Loaded: task.Cursor{NextMS: 1}})
			return err
		},
		"add": func() error { _, err := r.Add(ctx, 0, task.AddRequest{AsOf: f.AsOf, Entries: e}); return err },
		"register": func() error {
			_, err := r.Add(ctx, 0, task.AddRequest{AsOf: f.AsOf, Entries: e, Token: "held", Lease: time.Second})
			return err
		},
		"claim": func() error {
			_, err := r.Claim(ctx, 0, task.ClaimRequest{Token: "t", Limit: 2, Lease: time.Second})
			return err
		},
		"extend": func() error {
			_, err := r.Extend(ctx, 0, task.ExtendRequest{Generation: f.AsOf.Generation})
			return err
		},
		"release":   func() error { _, err := r.Release(ctx, 0, task.ReleaseRequest{Token: "t", Refs: refs}); return err },
		"remove":    func() error { _, err := r.Remove(ctx, 0, "", refs[:1]); return err },
		"find":      func() error { _, err := r.Find(ctx, 0, refs); return err },
		"check":     func() error { return r.Check(ctx, 0) },
		"sweep":     func() error { _, err := r.dropOrphans(ctx, 0); return err },
		"pause":     func() error { return r.Pause(ctx, 0) },
		"leases":    func() error { _, err := r.Expired(ctx, 0, 10, time.Second); return err },
		"retreat":   func() error { _, err := r.retreat(ctx, 0, task.HorizonRequest{Epoch: 1, Limit: 5}, f); return err },
		"heartbeat": func() error { return r.Heartbeat(ctx, "me", []byte("fine")) },
		"workers":   func() error { _, err := r.Workers(ctx, task.Feeder); return err },
		"elect":     func() error { _, err := r.Elect(ctx, "me", time.Second, task.Feeder); return err },
	} {
		if err := call(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// What a server may answer is an error at worst.
func TestStrangeAnswersAreErrors(t *testing.T) {
	for _, v := range [][]any{nil, {"OK"}, {int64(1)}, {"OK", "x", int64(1)}, {"WHAT", int64(1), int64(1)}} {
		a := &reply{verb: "x", rest: v}
		a.str()
		a.int()
		a.int()
		a.status()
		a.indices(3)
		if a.err == nil {
			t.Errorf("%v was read without an error", v)
		}
	}
	for _, m := range []any{nil, 7, "short", "a" + "12345678"} {
		for _, rec := range []any{7, "", "1:2:3", "1:2:x:i:", "1:2:3:toolong:"} {
			if c, _, err := parseClaim(m, rec); err == nil {
				t.Errorf("member %v with entry %v was read as %+v", m, rec, c)
			}
		}
	}
}

func TestServerErrorsHaveTheirSentinels(t *testing.T) {
	for text, want := range map[string]error{
		"OOM command not allowed when used memory > 'maxmemory'.":                                                      task.ErrTooLarge,
		"ERR Error running script (call to f_12): @user_script:3: @user_script: 3: -OOM command not allowed when used": task.ErrTooLarge,
		"READONLY You can't write against a read only replica.":                                                        task.ErrReadOnly,
		"NOPERM this user has no permissions":                                                                          task.ErrRefused,
		"WRONGPASS invalid username-password pair":                                                                     task.ErrRefused,
		"LOADING Redis is loading the dataset in memory":                                                               task.ErrUnavailable,
		"MASTERDOWN Link with MASTER is down":                                                                          task.ErrUnavailable,
		"ERR max number of clients reached":                                                                            task.ErrUnavailable,
		// what scripts say of rights, in Redis 6.2, 7.0 and 7.2
		"ERR Error running script (call to f_12): @user_script:7: @user_script: 7: The user executing the script can't run this command or subcommand": task.ErrRefused,
		"ERR The user executing the script can't run this command or subcommand script: f_12, on @user_script:7.":                                      task.ErrRefused,
		"NOPERM User mail has no permissions to run the 'hscan' command script: f_12, on @user_script:7.":                                              task.ErrRefused,
		"ERR The user executing the script can't access at least one of the keys mentioned in the command arguments script: f_12":                      task.ErrRefused,
		"ERR Unknown Redis command called from script script: f_12, on @user_script:1.":                                                                task.ErrRefused,
		"ERR ACL failure in script: User u1 has no permissions to run the 'hget' command script: f_12":                                                 task.ErrRefused, // Valkey
		"ERR unknown command 'EVALSHA', with args beginning with: 'x'":                                                                                 task.ErrRefused,
		"CROSSSLOT Keys in request don't hash to the same slot":                                                                                        task.ErrRefused,
		"MOVED 9672 127.0.0.1:7001":           task.ErrUnavailable,
		"ASK 9672 127.0.0.1:7001":             task.ErrUnavailable,
		"TRYAGAIN Multiple keys request":      task.ErrUnavailable,
		"CLUSTERDOWN The cluster is down":     task.ErrUnavailable,
		"BUSY Redis is busy running a script": task.ErrUnavailable,
	} {
		if got := kindOf(serverError(text)); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
	for _, err := range []error{redis.ErrPoolExhausted, redis.ErrPoolTimeout, fmt.Errorf("read: %w", net.ErrClosed)} {
		if got := kindOf(err); got != task.ErrUnavailable {
			t.Errorf("%v is %v, want ErrUnavailable", err, got)
		}
	}
	for single, want := range map[bool]error{true: task.ErrRefused, false: task.ErrUnavailable} {
		got := (&Redis{single: single}).kindOf(serverError("MOVED 1 x:1"))
		if !errors.Is(got, want) || strings.Contains(got.Error(), "NewClusterClient") != single {
			t.Errorf("MOVED to a client of one server (%t): %v, want %v", single, got, want)
		}
	}
	if got := kindOf(fmt.Errorf("x: %w", context.Canceled)); got != nil {
		t.Errorf("a canceled context is %v, want no sentinel", got)
	}
}

type serverError string

func (e serverError) Error() string { return string(e) }
func (serverError) RedisError()     {}

// The check tries each command that another script uses: one that it leaves out could be
// missing for good while a worker runs.
func TestTheCheckTriesEveryCommandThatScriptsUse(t *testing.T) {
	all := readLua(t)
	_, check := split(all["check"])
	tried := map[string]bool{}
	for _, m := range commands.FindAllStringSubmatch(check, -1) {
		tried[m[1]] = true
	}
	for verb, text := range all {
		_, body := split(text)
		for _, m := range commands.FindAllStringSubmatch(body, -1) {
			if !tried[m[1]] {
				t.Errorf("%s.lua calls %s, which check.lua does not try", verb, m[1])
			}
		}
	}
}

// What a check may find: rights that are missing, all named; what passes; and what is nothing.
func TestWhatACheckFindsIsJudged(t *testing.T) {
	for _, c := range []struct {
		failed []string
		want   error
		says   string
	}{
		{nil, nil, ""},
		{[]string{"HSET", "OOM command not allowed when used memory > 'maxmemory'."}, nil, ""},
		{[]string{"INFO", "section (server) is not supported"}, nil, ""},
		{[]string{"INFO", "ERR Unknown Redis command called from script"}, task.ErrRefused, "INFO"},
		{[]string{"HSET", "NOPERM no", "INFO", "NOPERM no", "INFO", "NOPERM no", "ZADD", "READONLY no"}, task.ErrRefused, "HSET, INFO:"},
		{[]string{"UNLINK", "READONLY You can't write against a read only replica."}, task.ErrReadOnly, "UNLINK"},
		{[]string{"UNLINK", "MASTERDOWN Link with MASTER is down"}, task.ErrUnavailable, "UNLINK"},
	} {
		err := judgeCommands(c.failed)
		if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want %v that says %q", c.failed, err, c.want, c.says)
		}
	}
	const known = "run_id:abc\r\n# Replication\r\nmaster_replid:def\r\n"
	for _, c := range []struct {
		single          bool
		server, cluster string
		says            string
	}{{true, known, "cluster_enabled:0\r\n", ""}, {true, known, "# Cluster\r\ncluster_enabled:1\r\n", "NewClusterClient"},
		{false, known, "cluster_enabled:1\r\n", ""}, {false, "run_id:abc\r\n", "", "master_replid"}, {false, "redis_version:7\r\n", "", "run_id"}, {true, "", "", ""}} {
		a := &reply{verb: "check", rest: []any{"OK", int64(1), int64(0), c.server, c.cluster, []any{}}}
		if err := (&Redis{single: c.single}).judge(a); (err == nil) != (c.says == "") || err != nil && (!errors.Is(err, task.ErrRefused) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("a server that says %q and %q: %v, want an error that says %q", c.server, c.cluster, err, c.says)
		}
	}
}
