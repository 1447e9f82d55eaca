package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/webhook"
)

// secretsEvery is how often the file of secrets is looked at.
const secretsEvery = 5 * time.Second

// watchSecrets gives the secrets of a file to the sender when the file changes, until ctx ends. A file with an error is
// logged, and the secrets of before go on.
func watchSecrets(ctx context.Context, path string, set func(secrets []string) error, log *slog.Logger, tick <-chan time.Time) {
	var last []byte // nothing at first, so that a change between New and the first look is seen
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		now, err := os.ReadFile(path)
		if err == nil && bytes.Equal(now, last) {
			continue
		}
		var secrets []string
		if err == nil {
			last = now
			secrets, err = webhook.ReadSecrets(path)
		}
		if err == nil {
			err = set(secrets)
		}
		if err != nil {
			log.Error("the secrets of before go on", "file", path, "err", err)
			continue
		}
		log.Info("secrets read again", "file", path, "secrets", len(secrets))
	}
}
