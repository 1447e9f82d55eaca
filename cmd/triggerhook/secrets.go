package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/reread"
	"github.com/triggerhook/triggerhook/cmd/triggerhook/internal/webhook"
)

// secretsEvery is how often the file of secrets is looked at.
const secretsEvery = 5 * time.Second

// openSecrets reads the file of --webhook-secret-file.
func openSecrets(path string, log *slog.Logger) (*reread.Files[[]string], error) {
	parse := func(texts [][]byte) ([]string, error) { return webhook.ParseSecrets(texts[0]) }
	files, err := reread.Open("secrets of webhooks", log, parse, path)
	if err != nil {
		return nil, fmt.Errorf("--webhook-secret-file: %w", err)
	}
	return files, nil
}

// followSecrets gives the secrets of a file to the sender when they change, until ctx ends. given are those that the sender has.
func followSecrets(ctx context.Context, file *reread.Files[[]string], given []string, set func(secrets []string) error, log *slog.Logger) {
	tick := time.NewTicker(secretsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := file.Get()
		if slices.Equal(now, given) {
			continue
		}
		if err := set(now); err != nil {
			log.Error("the secrets of before go on", "err", err)
			continue
		}
		given = now
	}
}
