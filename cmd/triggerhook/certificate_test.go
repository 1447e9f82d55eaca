package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

// mount is a folder like the one of a Secret of Kubernetes: its files lead into ..data, which changes in one step.
type mount struct {
	*testing.T
	dir string
	n   string
}

// put makes cert and key the content of the folder.
func (m *mount) put(cert, key string) {
	m.Helper()
	m.n += "x"
	next := filepath.Join(m.dir, m.n)
	err := os.Mkdir(next, 0o700)
	for name, from := range map[string]string{"cert.pem": cert, "key.pem": key} {
		text, bad := os.ReadFile(from)
		err = errors.Join(err, bad, os.WriteFile(filepath.Join(next, name), text, 0o600))
		if m.n == "x" {
			err = errors.Join(err, os.Symlink(filepath.Join("..data", name), filepath.Join(m.dir, name)))
		}
	}
	err = errors.Join(err, os.Symlink(m.n, filepath.Join(m.dir, "..new")), os.Rename(filepath.Join(m.dir, "..new"), filepath.Join(m.dir, "..data")))
	if err != nil {
		m.Fatal(err)
	}
}

// shown is whether a new connection to addr is shown a certificate of a.
func shown(t *testing.T, addr string, a testserver.Authority) bool {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: a.Pool})
	if wrong := (&tls.CertificateVerificationError{}); errors.As(err, &wrong) && errors.As(wrong.Err, new(x509.UnknownAuthorityError)) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	return true
}

// A server shows a certificate that replaces the one of its start, without a restart. A pair that does not fit changes nothing; the log and a
// metric say so.
func TestServeTakesANewCertificate(t *testing.T) {
	t.Parallel()
	first, second, logs := testserver.NewAuthority(t), testserver.NewAuthority(t), &logLines{}
	m := &mount{T: t, dir: t.TempDir()}
	m.put(first.Cert, first.Key)
	ctx, stop := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, []string{"serve", "--store", "bolt:" + filepath.Join(m.dir, "tasks"), "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
			"--tls-cert", filepath.Join(m.dir, "cert.pem"), "--tls-key", filepath.Join(m.dir, "key.pem")}, nil, io.Discard, logs)
	}()
	addr, figures := address(t, logs, "listening"), "http://"+address(t, logs, "listening for metrics")+"/metrics"
	if !shown(t, addr, first) {
		t.Error("the certificate of the start is not shown")
	}
	m.put(second.Cert, first.Key)
	figure := func(line string) func() bool {
		return func() bool {
			status, text := request(t, http.MethodGet, figures, "")
			return status == http.StatusOK && strings.Contains(text, line)
		}
	}
	poll(t, "the metric tells of the pair that does not fit", figure(`triggerhook_file_failed{file="certificate"} 1`))
	if !shown(t, addr, first) || !strings.Contains(logs.String(), "those of before go on") {
		t.Errorf("a pair that does not fit: the certificate of before is shown: %t; log:\n%s", shown(t, addr, first), logs)
	}
	m.put(second.Cert, second.Key)
	poll(t, "the new certificate is shown", func() bool { return shown(t, addr, second) })
	if shown(t, addr, first) || !figure(`triggerhook_file_failed{file="certificate"} 0`)() {
		t.Errorf("the old certificate is shown: %t; log:\n%s", shown(t, addr, first), logs)
	}
	stop()
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d, want 0:\n%s", got, logs)
	}
}
