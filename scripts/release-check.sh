#!/usr/bin/env bash
# release-check.sh [--load] [-- COMMAND...]: whether the modules can be installed once they are released, before they are.
#
# In a copy of the last commit it makes a release (release.sh), and then does what a user does, with the go command's own downloads from the tags of that
# copy: it installs the command by @latest, and gets the library and its modules into a new module whose program uses them. Nothing there has a replace
# or a go.work, and no module is taken from this folder. --load only resolves and reads all packages, for CI: their code compiles in other tests. COMMAND
# runs in the copy then, with VERSION set.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
path=github.com/triggerhook/triggerhook
load=
[ "${1:-}" != --load ] || { load=yes; shift; }
[ "${1:-}" != -- ] || shift
export VERSION=v0.0.1
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
git clone -q --no-tags . "$work/repo"
git -C "$work/repo" config user.name check
git -C "$work/repo" config user.email check@localhost
(cd "$work/repo" && bash scripts/release.sh "$VERSION" > /dev/null)
[ -z "$(git -C "$work/repo" status --porcelain)" ] || { echo "release-check.sh: the copy is not clean after release.sh"; exit 1; }

cache=$(go env GOMODCACHE)/cache/download
proxy=$(go env GOPROXY)
# The environment of a user's go command.
as=(GOMODCACHE="$work/modules" GOFLAGS=-modcacherw GOWORK=off GOPRIVATE="$path" GOPROXY="file://$cache,$proxy" CGO_ENABLED=0 GOBIN="$work/bin"
  GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$work/repo.insteadOf" GIT_CONFIG_VALUE_0="https://$path")
user() { env "${as[@]}" go "$@"; }
mkdir "$work/user" "$work/bin"
cd "$work/user"
if [ -n "$load" ]; then
  user install -n "$path/cmd/triggerhook@latest" > "$work/commands" 2>&1 || { tail "$work/commands"; exit 1; }
  grep -q "triggerhook@$VERSION" "$work/commands" || { echo "release-check.sh: go install does not use $VERSION"; exit 1; }
else
  user install -trimpath "$path/cmd/triggerhook@latest"
  "$work/bin/triggerhook" version | tee "$work/version"
  grep -qx "triggerhook $VERSION" "$work/version"
fi
cat > main.go << 'EOF'
// A program of a user that has all modules.
package main

import (
	"context"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/dashboard"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
	oteltriggerhook "github.com/triggerhook/triggerhook/otel"
)

func main() {
	store, err := bolt.Open("tasks.bolt", bolt.Options{})
	if err != nil {
		panic(err)
	}
	set, err := local.New(local.Options{})
	if err != nil {
		panic(err)
	}
	if _, err := oteltriggerhook.New("triggerhook", oteltriggerhook.Options{}); err != nil {
		panic(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{})
	if err != nil {
		panic(err)
	}
	if err := s.Migrate(context.Background()); err != nil {
		panic(err)
	}
	if _, err := dashboard.New(s, dashboard.Options{}); err != nil {
		panic(err)
	}
}
EOF
user mod init example.com/user 2> /dev/null
{ user get "$path@latest" "$path/otel@latest" "$path/dashboard@latest" && user get .; } 2> "$work/got" || { cat "$work/got"; exit 1; }
for module in "$path" "$path/otel" "$path/dashboard"; do
  [ "$(user list -m -f '{{.Version}}{{with .Replace}} replaced{{end}}' "$module")" = "$VERSION" ] || { echo "release-check.sh: $module is not at $VERSION"; exit 1; }
done
if [ -n "$load" ]; then
  user list -deps . > "$work/packages"
else
  user build -trimpath -o "$work/bin/user" .
  "$work/bin/user"
fi
# The tagged folders build by themselves, as GoReleaser builds them: go.mod is tidy, and go.sum has the hashes of this release.
for module in otel dashboard cmd/triggerhook; do
  (cd "$work/repo/$module" && bash "$work/repo/scripts/tidy.sh" && user list -mod=readonly -deps . > "$work/packages")
done
echo "release-check: the command, the library, otel and dashboard install from their tags"
[ $# = 0 ] || (cd "$work/repo" && env "${as[@]}" "$@")
