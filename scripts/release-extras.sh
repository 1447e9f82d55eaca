#!/usr/bin/env bash
# release-extras.sh SECONDS: writes the shell completions and the manual pages of the command into .release, for the archives of a release. SECONDS is the
# time that the pages bear.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf .release
mkdir -p .release/completions
cd cmd/triggerhook
go build -trimpath -buildvcs=false -o ../../.release/triggerhook .
cd ../../.release
for shell in bash zsh fish powershell; do
  ./triggerhook completion "$shell" > "completions/triggerhook.$shell"
done
SOURCE_DATE_EPOCH=$1 ./triggerhook man man
rm triggerhook
