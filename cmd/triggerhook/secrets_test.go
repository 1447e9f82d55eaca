package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Secrets of a file that changes are used from the next look on. A file with an error changes nothing, and the log says so.
func TestSecretsOfAFileThatChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	one, two := "whsec_"+strings.Repeat("QUJD", 10), "whsec_"+strings.Repeat("REVG", 10)
	ctx, stop := context.WithCancel(t.Context())
	logs, tick, done := &logLines{}, make(chan time.Time), make(chan bool)
	var got []string
	go func() {
		watchSecrets(ctx, path, func(secrets []string) error { got = append(got, fmt.Sprint(secrets)); return nil }, slog.New(slog.NewTextHandler(logs, nil)), tick)
		close(done)
	}()
	for _, text := range []string{one, one, one + "\n" + two, "nonsense", two} {
		if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
		tick <- time.Time{}
		select { // a second look begins when the first is over
		case tick <- time.Time{}:
		case <-time.After(20 * time.Second):
			t.Fatal("it looks no more")
		}
	}
	stop()
	<-done
	if want := fmt.Sprint([]string{"[" + one + "]", "[" + one + " " + two + "]", "[" + two + "]"}); fmt.Sprint(got) != want {
		t.Errorf("set to %v, want %s", got, want)
	}
	if n := strings.Count(logs.String(), "the secrets of before go on"); n != 1 || strings.Contains(logs.String(), two) {
		t.Errorf("%d lines about a bad file, want 1, and no secret: %s", n, logs)
	}
}
