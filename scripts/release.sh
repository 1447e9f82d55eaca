#!/usr/bin/env bash
# release.sh VERSION: makes the commit and the tags of a release in this repository, and pushes nothing.
#
#   bash scripts/release.sh v0.1.0
#
# All modules that others install get the same version at the same commit, each with a tag of its own: v0.1.0, otel/v0.1.0 and so on. Their go.mod
# files name that version of each other, and go.sum its hash: the hash is known before the tag is published, because the go command fetches the
# module from here (GOPRIVATE, and a rewritten address for Git). The work is done in a copy, so that a failure leaves everything as it was.
set -euo pipefail
path=github.com/triggerhook/triggerhook
modules=(otel dashboard cmd/triggerhook) # a module comes after those that it needs
# ours are the modules of this repository that go.mod of a folder names.
ours() { grep -oE "$path[a-z/]* v" "$1/go.mod" | sed 's/ v$//'; }
fail() { echo "release.sh: $*" >&2; exit 2; }

[ $# = 1 ] || fail "want one argument, the version, as v0.1.0"
version=$1
[[ $version =~ ^v[01]\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$ ]] || fail "version $version: want v0.MINOR.PATCH or v1.MINOR.PATCH (from v2 on the module's path would have to change)"
root=$(git rev-parse --show-toplevel)
cd "$root"
[ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed: git status"
grep -q '^## Unreleased$' CHANGELOG.md || fail "CHANGELOG.md has no section \"## Unreleased\""
tags=("$version" "${modules[@]/%//$version}")
for tag in "${tags[@]}"; do
  [ -z "$(git tag --list "$tag")" ] || fail "the tag $tag exists"
done
for module in . "${modules[@]}"; do
  ! grep -qE '^(replace|exclude)\b' "$module/go.mod" || fail "$module/go.mod has a replace or an exclude: go install refuses it"
done

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
git clone -q --no-tags . "$work/repo"
cache=$(go env GOMODCACHE)/cache/download
export GOMODCACHE="$work/modules" GOPRIVATE="$path" GOWORK=off GOFLAGS=-mod=mod
export GOPROXY="file://$cache,$(go env GOPROXY)"
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$work/repo.insteadOf" GIT_CONFIG_VALUE_0="https://$path"
author=(-c "user.name=$(git config user.name)" -c "user.email=$(git config user.email)")
cd "$work/repo"

sed -i "s/^## Unreleased\$/## Unreleased\n\n## ${version#v} ($(date -u +%Y-%m-%d))/" CHANGELOG.md
sed -i -E "s/^(version|appVersion): .*/\1: \"${version#v}\"/" deploy/helm/triggerhook/Chart.yaml
for module in "${modules[@]}"; do
  for needed in $(ours "$module"); do go mod edit -require "$needed@$version" "$module/go.mod"; done
done
git "${author[@]}" commit -qam "Release $version"
# A folder that is a module of its own is no part of the root's module, so writing its go.sum leaves the root's hash as it is.
retag() { for tag in "${tags[@]}"; do git tag -f "$tag" > /dev/null; done; }
retag
for module in "${modules[@]}"; do
  for needed in $(ours "$module"); do (cd "$module" && go mod download "$needed"); done
  git "${author[@]}" commit -q --amend --no-edit -a
  retag
done

cd "$root"
git fetch -q --tags "$work/repo" HEAD
git merge -q --ff-only FETCH_HEAD
echo "made the commit $(git rev-parse --short HEAD) and the tags ${tags[*]}; look at them, and then:"
echo "  git push --atomic origin HEAD:main ${tags[*]}"
