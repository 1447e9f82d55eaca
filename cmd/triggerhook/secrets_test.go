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
	"testing/synctest"
	"time"
)

// Secrets of a file that changes are used from the next look on, also if it changed before the first one. A file with an error changes
// nothing, and the log says so without a secret.
func TestSecretsOfAFileThatChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secrets")
	put := func(text string) {
		if err := errors.Join(os.WriteFile(path+".new", []byte(text), 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	one, two := "whsec_"+strings.Repeat("QUJD", 10), "whsec_"+strings.Repeat("REVG", 10)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		logs := &logLines{}
		log := slog.New(slog.NewTextHandler(logs, nil))
		put(one)
		file, err := openSecrets(path, log)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		go followSecrets(ctx, file, file.Get(), func(secrets []string) error { got = append(got, fmt.Sprint(secrets)); return nil }, log)
		for _, text := range []string{one, one + "\n" + two, "nonsense", one + "\n" + two, two} {
			put(text)
			<-time.After(secretsEvery + time.Millisecond)
			synctest.Wait()
		}
		stop()
		if want := fmt.Sprint([]string{"[" + one + " " + two + "]", "[" + two + "]"}); fmt.Sprint(got) != want {
			t.Errorf("set to %v, want %s", got, want)
		}
		if n := strings.Count(logs.String(), "level=ERROR"); n != 1 || strings.Contains(logs.String(), two) {
			t.Errorf("%d lines about a bad file, want 1, and no secret: %s", n, logs)
		}
	})
}
