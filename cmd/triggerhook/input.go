package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// instantFlag is a flag that names a time: RFC 3339, "now", or a duration from now on.
type instantFlag struct{ time.Time }

// String is the time in RFC 3339, or nothing.
func (f *instantFlag) String() string {
	if f.IsZero() {
		return ""
	}
	return f.Format(time.RFC3339Nano)
}

// Type is what help calls the value.
func (f *instantFlag) Type() string { return "time" }

// Set reads the value.
func (f *instantFlag) Set(text string) (err error) {
	f.Time, err = parseInstant(text)
	return err
}

// parseInstant reads a time as people write it.
func parseInstant(text string) (time.Time, error) {
	if text == "now" {
		return time.Now(), nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(d), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("time %q: want RFC 3339 (2026-12-24T18:00:00Z), now, or a duration from now on (90s, 24h)", text)
	}
	return at, nil
}

// payloadFlags are the flags by which a command gets a payload.
type payloadFlags struct{ text, file string }

func (f *payloadFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.text, "payload", "", "payload, as it is")
	cmd.Flags().StringVar(&f.file, "payload-file", "", "file that has the payload; - is standard input")
	cmd.MarkFlagsMutuallyExclusive("payload", "payload-file")
}

// given reports whether a payload was given.
func (f *payloadFlags) given(cmd *cobra.Command) bool {
	return cmd.Flags().Changed("payload") || cmd.Flags().Changed("payload-file")
}

// read returns the payload: not nil, also if it is empty.
func (f *payloadFlags) read(cmd *cobra.Command) ([]byte, error) {
	var payload []byte
	var err error
	switch {
	case f.file == "-":
		payload, err = io.ReadAll(cmd.InOrStdin())
	case f.file != "":
		payload, err = os.ReadFile(f.file)
	default:
		payload = []byte(f.text)
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("--payload-file: %w", err)}
	}
	return append([]byte{}, payload...), nil
}

// headers reads the flags "--header KEY=VALUE".
func headers(flags []string) (map[string]string, error) {
	if len(flags) == 0 {
		return nil, nil
	}
	all := make(map[string]string, len(flags))
	for _, f := range flags {
		key, value, is := strings.Cut(f, "=")
		if !is {
			return nil, usageError{fmt.Errorf("--header %q: want KEY=VALUE", f)}
		}
		if _, twice := all[key]; twice {
			return nil, usageError{fmt.Errorf("--header %q: the key is given twice", f)}
		}
		all[key] = value
	}
	return all, nil
}
