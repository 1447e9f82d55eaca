#!/usr/bin/env bash
# tidy.sh: whether go.mod of the module in this folder is tidy, for a module that names a version of the library that is not released
# yet. Its go.work leads to the library in development, and go mod tidy does not read that; so this looks at a copy with a replace.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp go.mod "$dir/tidy.mod"
grep -v '^github.com/triggerhook/triggerhook ' go.sum > "$dir/tidy.sum" # the hash of a release, which a replace leaves unused
go mod edit -replace "github.com/triggerhook/triggerhook=$(cd "$(git rev-parse --show-toplevel)" && pwd)" "$dir/tidy.mod"
GOWORK=off go mod tidy -diff -modfile="$dir/tidy.mod"
