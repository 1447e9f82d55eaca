package hotset_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/hotsettest"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// leastACL reads the commands that docs/security.md says are needed.
func leastACL(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "ACL SETUSER")
	rule, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("docs/security.md names no ACL")
	}
	var commands []string
	for _, word := range strings.Fields(rule) {
		if strings.HasPrefix(word, "+") {
			commands = append(commands, word)
		}
	}
	return commands
}

// as makes a user with those commands, for the namespaces that begin with t, and
// returns a client of it.
func as(t *testing.T, admin *redis.Client, name string, commands []string) *redis.Client {
	t.Helper()
	args := []any{"ACL", "SETUSER", name, "reset", "on", ">secret", "~{t*}:*", "&{t*}:wake"}
	for _, c := range commands {
		args = append(args, c)
	}
	if err := admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: admin.Options().Addr, Username: name, Password: "secret"})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// The ACL that the documentation names is enough for everything, and none of its
// commands can be left out.
func TestTheLeastACLIsEnoughAndNoMore(t *testing.T) {
	for _, kind := range []testserver.Kind{testserver.Redis, testserver.Valkey} {
		t.Run(string(kind), func(t *testing.T) {
			admin := client(t, testserver.Own(t, kind).Addr)
			commands := leastACL(t)
			rdb := as(t, admin, "least", commands)
			hotsettest.Run(t, func(t *testing.T, partitions int) hotset.Set { return open(t, rdb, partitions) })
			if used := usedCommands(t, admin); len(used) > 0 {
				for _, c := range commands {
					if !used[strings.TrimPrefix(c, "+")] {
						t.Errorf("%s is granted, but the suite never used it", c)
					}
				}
			}
			if err := rdb.Get(t.Context(), "another").Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
				t.Errorf("another key: %v, want NOPERM", err)
			}
			few := as(t, admin, "few", []string{"+ping"})
			if _, err := open(t, few, 1).State(t.Context(), 0); !errors.Is(err, task.ErrRefused) {
				t.Errorf("State without the rights: %v, want ErrRefused", err)
			}
		})
	}
}

// What is left out of the ACL is named before the first task: each command, and the channel.
func TestTheCheckNamesWhatIsMissing(t *testing.T) {
	for _, kind := range []testserver.Kind{testserver.Redis, testserver.Valkey} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			admin := client(t, testserver.Own(t, kind).Addr)
			all := leastACL(t)
			if err := open(t, as(t, admin, "whole", all), 1).Check(t.Context(), 0); err != nil {
				t.Fatalf("Check with all that docs/security.md names: %v", err)
			}
			for i, out := range all {
				rdb := as(t, admin, fmt.Sprint("u", i), slices.Delete(slices.Clone(all), i, i+1))
				s := open(t, rdb, 1)
				name := strings.ToUpper(strings.TrimPrefix(out, "+"))
				if err := s.Check(t.Context(), 0); !errors.Is(err, task.ErrRefused) || !strings.Contains(strings.ToUpper(err.Error()), name) {
					t.Errorf("Check without %s: %v, want ErrRefused that names it", out, err)
				}
				if left := admin.Keys(t.Context(), "*").Val(); len(left) > 0 {
					t.Fatalf("Check without %s left %q", out, left)
				}
			}
			mute := as(t, admin, "mute", append([]string{"resetchannels"}, all...))
			s := open(t, mute, 1)
			if err := s.Check(t.Context(), 0); !errors.Is(err, task.ErrRefused) || !strings.Contains(err.Error(), "SUBSCRIBE to channel {"+s.Config().Namespace+":0}:wake") ||
				!strings.Contains(err.Error(), "PUBLISH") {
				t.Errorf("Check without the channel: %v, want ErrRefused that names it, and PUBLISH", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := s.Watch(ctx, task.Watcher{Wake: make(chan struct{}, 1)}); !errors.Is(err, task.ErrRefused) {
				t.Errorf("Watch without the channel: %v, want ErrRefused", err)
			}
			keyless := as(t, admin, "keyless", append([]string{"resetkeys", "~other"}, all...))
			if err := open(t, keyless, 1).Check(t.Context(), 0); !errors.Is(err, task.ErrRefused) {
				t.Errorf("Check without the keys: %v, want ErrRefused", err)
			}
		})
	}
	t.Run("a renamed command", func(t *testing.T) {
		t.Parallel()
		s := open(t, client(t, testserver.Own(t, testserver.Redis, "--rename-command", "UNLINK", "", "--rename-command", "HSCAN", "").Addr), 1)
		err := s.Check(t.Context(), 0)
		if !errors.Is(err, task.ErrRefused) || !strings.Contains(err.Error(), "UNLINK, HSCAN") {
			t.Errorf("Check without UNLINK and HSCAN: %v, want ErrRefused that names both", err)
		}
	})
}

// Rights that are revoked while the set is used are of kind refused, whatever a script was at.
func TestRightsThatAreRevokedAreRefused(t *testing.T) {
	admin := client(t, testserver.Own(t, testserver.Redis).Addr)
	all := leastACL(t)
	for _, out := range []string{"+info", "+zadd", "+unlink", "+hset", "+time", "+publish"} {
		name := "r" + out[1:]
		s := open(t, as(t, admin, name, all), 1)
		f := warm(t, s)
		add(t, s, f, many(3))
		if err := admin.Do(t.Context(), "ACL", "SETUSER", name, "-"+out[1:]).Err(); err != nil {
			t.Fatal(err)
		}
		_, err1 := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 3, Lease: time.Minute})
		_, err2 := s.Add(t.Context(), 0, task.AddRequest{AsOf: f.AsOf, Entries: []task.Entry{{Ref: task.Ref{ID: "first"}}}})
		admin.HSet(t.Context(), key(s, "meta"), "server", "another")
		_, err3 := s.Horizon(t.Context(), 0, task.HorizonRequest{Epoch: 2, HorizonMS: 1 << 42, Limit: 10})
		if !errors.Is(err1, task.ErrRefused) && !errors.Is(err2, task.ErrRefused) && !errors.Is(err3, task.ErrRefused) {
			t.Errorf("without %s: Claim %v, Add %v, Horizon %v; want one of them ErrRefused", out, err1, err2, err3)
		}
		if out == "+info" && !errors.Is(err1, task.ErrRefused) {
			t.Errorf("a Claim that cannot know its server: %v, want ErrRefused", err1)
		}
	}
}

// At maxmemory, and where a server has not all sections of INFO, nothing is missing.
func TestAFullServerIsNotRefused(t *testing.T) {
	admin := client(t, testserver.Own(t, testserver.Redis).Addr)
	if err := admin.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, admin, 1).Check(t.Context(), 0); err != nil {
		t.Errorf("Check at maxmemory: %v", err)
	}
}

// usedCommands are those that the server has seen, inside scripts too.
func usedCommands(t *testing.T, admin *redis.Client) map[string]bool {
	t.Helper()
	info, err := admin.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for line := range strings.Lines(info) {
		if name, ok := strings.CutPrefix(line, "cmdstat_"); ok {
			name, _, _ = strings.Cut(name, ":")
			used[name] = true
		}
	}
	return used
}

func TestTLSWithAnAuthorityOfOnesOwn(t *testing.T) {
	for _, kind := range []testserver.Kind{testserver.Redis, testserver.Valkey} {
		t.Run(string(kind), func(t *testing.T) {
			authority := testserver.NewAuthority(t)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			addr := l.Addr().String()
			_, port, _ := net.SplitHostPort(addr)
			l.Close()
			testserver.Own(t, kind, "--tls-port", port, "--tls-ca-cert-file", authority.CA, "--tls-cert-file", authority.Cert,
				"--tls-key-file", authority.Key, "--tls-auth-clients", "no")
			over := func(pool *x509.CertPool) *hotset.Redis {
				rdb := redis.NewClient(&redis.Options{Addr: addr, TLSConfig: &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}, MaxRetries: -1, DialerRetries: 1})
				t.Cleanup(func() { rdb.Close() })
				return open(t, rdb, 1)
			}
			s := over(authority.Pool)
			add(t, s, warm(t, s), many(3))
			if b, err := s.Claim(t.Context(), 0, task.ClaimRequest{Token: "t", Limit: 3, Lease: time.Minute}); err != nil || len(b.Claims) != 3 {
				t.Errorf("Claim over TLS: %v, %v", b, err)
			}
			if _, err := over(x509.NewCertPool()).State(t.Context(), 0); err == nil || !strings.Contains(fmt.Sprint(err), "certificate") {
				t.Errorf("State with another authority: %v, want an error about the certificate", err)
			}
		})
	}
}

// elsewhere is a hook that has checks publish to another channel: nothing is heard, as
// through a proxy that passes on no messages.
type elsewhere struct{}

func (elsewhere) DialHook(next redis.DialHook) redis.DialHook { return next }

func (elsewhere) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if a := cmd.Args(); strings.HasPrefix(cmd.Name(), "eval") && strings.HasSuffix(fmt.Sprint(a[3]), ":check") {
			a[len(a)-2] = "elsewhere"
		}
		return next(ctx, cmd)
	}
}

func (elsewhere) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A subscription that the server has confirmed, and that hears nothing, wakes no worker.
func TestACheckThatHearsNothingIsNoCheck(t *testing.T) {
	rdb := client(t, testserver.Own(t, testserver.Redis).Addr)
	s := open(t, rdb, 1)
	rdb.AddHook(elsewhere{})
	if err := s.Check(t.Context(), 0); !errors.Is(err, task.ErrUnavailable) || !strings.Contains(err.Error(), ":0}:wake was not heard") {
		t.Errorf("Check that hears nothing: %v, want ErrUnavailable that names the channel", err)
	}
}
