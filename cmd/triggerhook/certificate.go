package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/reread"
)

// certificate is that of the HTTP API. It is read again when its files change, so that renewing it needs no restart.
type certificate struct {
	*reread.Files[*tls.Certificate]
}

// openCertificate reads the files of --tls-cert and --tls-key.
func openCertificate(cert, key string, log *slog.Logger) (*certificate, error) {
	parse := func(texts [][]byte) (*tls.Certificate, error) {
		pair, err := tls.X509KeyPair(texts[0], texts[1])
		if err != nil {
			return nil, err
		}
		if now := time.Now(); now.Before(pair.Leaf.NotBefore) || now.After(pair.Leaf.NotAfter) {
			log.Warn("the certificate is not valid now", "file", cert, "from", pair.Leaf.NotBefore, "until", pair.Leaf.NotAfter)
		}
		return &pair, nil
	}
	files, err := reread.Open("certificate", log, parse, cert, key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	return &certificate{files}, nil
}

// config makes each handshake use the certificate of now.
func (c *certificate) config() *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.Get(), nil }}
}

// expiry is the metric of when the certificate ends.
func (c *certificate) expiry() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "triggerhook_tls_certificate_expiry_timestamp_seconds",
		Help: "When the certificate of the HTTP API ends, as seconds since 1970."}, func() float64 { return float64(c.Get().Leaf.NotAfter.Unix()) })
}

// fileFigure is the metric of whether a file that is read again has an error.
func fileFigure(file string, failed func() bool) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "triggerhook_file_failed", ConstLabels: prometheus.Labels{"file": file},
		Help: "1 while a file cannot be read or has an error, so that what it had before goes on."}, func() float64 {
		if failed() {
			return 1
		}
		return 0
	})
}
