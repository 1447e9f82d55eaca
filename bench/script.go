package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/redis/go-redis/v9"
)

// script reads one of the library's scripts from beside this module, with the
// verb's name and the prelude that stand before it, and loads it.
func script(ctx context.Context, rdb *redis.Client, verb string) (*redis.Script, error) {
	_, file, _, _ := runtime.Caller(0)
	text := []byte("local verb = '" + verb + "'\n")
	for _, name := range []string{"prelude", verb} {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(file), "..", "hotset", "lua", name+".lua"))
		if err != nil {
			return nil, fmt.Errorf("read script: %w", err)
		}
		text = append(text, b...)
	}
	s := redis.NewScript(string(text))
	return s, s.Load(ctx, rdb).Err()
}
