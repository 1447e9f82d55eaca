package hotset_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
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
			if b, err := s.Claim(t.Context(), 0, "t", 3, time.Minute); err != nil || len(b.Claims) != 3 {
				t.Errorf("Claim over TLS: %v, %v", b, err)
			}
			if _, err := over(x509.NewCertPool()).State(t.Context(), 0); err == nil || !strings.Contains(fmt.Sprint(err), "certificate") {
				t.Errorf("State with another authority: %v, want an error about the certificate", err)
			}
		})
	}
}
