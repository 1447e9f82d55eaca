package durable_test

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/triggerhook/triggerhook/internal/testserver"
	"github.com/triggerhook/triggerhook/task"
)

// A user who must come over TLS does, when the client trusts the server's authority,
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
