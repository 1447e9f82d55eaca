#!/usr/bin/env bash
# fuzz.sh TIME: runs each fuzz target for so long (10s, 1m), one after another. What one finds is written into its
# corpus, testdata/fuzz of its package: mend the code and commit that file with it.
set -euo pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
grep -rhoE --include='*_test.go' --with-filename '^func Fuzz[A-Za-z]+' . | sort | while IFS=: read -r file func; do
	target=${func#func }
	printf '%s %s: ' "$(dirname "$file")" "$target"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$(dirname "$file")" > "$log" 2>&1 || { cat "$log"; exit 1; }
	grep -o 'execs: [0-9]*' "$log" | tail -1 || echo 'its corpus'
done
