package durable_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// A user that must come over TLS does, when the client trusts the server's authority,
// and only then.
func TestTLSWithAnAuthorityOfOnesOwn(t *testing.T) {
	for _, kind := range []testserver.Kind{testserver.MySQL, testserver.MariaDB} { // 5.6 is too old for the client's TLS
		t.Run(string(kind), func(t *testing.T) {
			authority := testserver.NewAuthority(t)
			server := testserver.Own(t, kind, "--ssl-ca="+authority.CA, "--ssl-cert="+authority.Cert, "--ssl-key="+authority.Key)
			name := server.Database(t)
			root, err := sql.Open("mysql", server.DSN(name))
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			for _, host := range []string{"%", "localhost"} { // MariaDB has an anonymous user at localhost
				exec(t, root, "CREATE USER 'th_tls'@'"+host+"' REQUIRE SSL", "GRANT ALL ON `"+name+"`.* TO 'th_tls'@'"+host+"'")
			}
			over := func(c *tls.Config) *sql.DB {
				cfg, err := mysql.ParseDSN(server.DSN(name))
				if err != nil {
					t.Fatal(err)
				}
				cfg.User, cfg.TLS = "th_tls", c
				connector, err := mysql.NewConnector(cfg)
				if err != nil {
					t.Fatal(err)
				}
				db := sql.OpenDB(connector)
				t.Cleanup(func() { db.Close() })
				return db
			}
			works(t, open(t, over(&tls.Config{RootCAs: authority.Pool, ServerName: "127.0.0.1"})))
			if err := open(t, over(nil)).Check(t.Context(), 1); !errors.Is(err, task.ErrRefused) {
				t.Errorf("Check in plain text: %v, want ErrRefused", err)
			}
			err = open(t, over(&tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"})).Check(t.Context(), 1)
			if err == nil || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("Check with another authority: %v, want an error about the certificate", err)
			}
		})
	}
}

// A server that takes no connection without TLS does not take one later either: Check,
// Migrate and Run say so at once.
func TestTLSThatIsRequiredIsReportedAtTheStart(t *testing.T) {
	for _, kind := range []testserver.Kind{testserver.MySQL, testserver.MariaDB} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			authority := testserver.NewAuthority(t)
			server := testserver.Own(t, kind, "--ssl-ca="+authority.CA, "--ssl-cert="+authority.Cert, "--ssl-key="+authority.Key)
			name := server.Database(t)
			root := openDB(t, server.DSN(name))
			migrated(t, root)
			exec(t, root, "SET GLOBAL require_secure_transport = ON")
			defer exec(t, root, "SET GLOBAL require_secure_transport = OFF")
			root.SetMaxOpenConns(1) // the one that it has
			startIsRefused(t, openDB(t, server.DSN(name)))
		})
	}
}

// So are an account that is locked, one whose password has expired, and a certificate
// of an authority that the client does not know.
func TestAccountsThatMayNotComeInAreReportedAtTheStart(t *testing.T) {
	for _, kind := range []testserver.Kind{testserver.MySQL, testserver.MariaDB} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			authority := testserver.NewAuthority(t)
			server := testserver.Own(t, kind, "--ssl-ca="+authority.CA, "--ssl-cert="+authority.Cert, "--ssl-key="+authority.Key)
			name := server.Database(t)
			root := openDB(t, server.DSN(name))
			migrated(t, root)
			for user, how := range map[string]string{"th_locked": "ACCOUNT LOCK", "th_expired": "PASSWORD EXPIRE"} {
				for _, host := range []string{"%", "localhost"} {
					exec(t, root, "CREATE USER '"+user+"'@'"+host+"' IDENTIFIED BY '' "+how, "GRANT ALL ON `"+name+"`.* TO '"+user+"'@'"+host+"'")
				}
				startIsRefused(t, as(t, server, user, name))
			}
			cfg, err := mysql.ParseDSN(server.DSN(name))
			if err != nil {
				t.Fatal(err)
			}
			cfg.TLS = &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1"}
			connector, err := mysql.NewConnector(cfg)
			if err != nil {
				t.Fatal(err)
			}
			db := sql.OpenDB(connector)
			t.Cleanup(func() { db.Close() })
			startIsRefused(t, db)
		})
	}
}

func openDB(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func startIsRefused(t *testing.T, db *sql.DB) {
	t.Helper()
	s := open(t, db)
	set, err := local.New(local.Options{Namespace: "t"})
	if err != nil {
		t.Fatal(err)
	}
	sch, err := triggerhook.New(s, set, triggerhook.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // of a Run that waits for it
	defer cancel()
	for act, err := range map[string]error{"Check": s.Check(ctx, 1), "Migrate": s.Migrate(ctx, 1), "Run": sch.Run(ctx)} {
		if !errors.Is(err, task.ErrRefused) {
			t.Errorf("%s: %v, want ErrRefused", act, err)
		}
	}
}
