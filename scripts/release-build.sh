#!/usr/bin/env bash
# release-build.sh [--here] FOLDER: builds the binaries of a release whose tag is checked out, publishes nothing, looks into what came out, and leaves it
# in FOLDER. --here builds for the system of this machine only. GoReleaser and cyclonedx-gomod are built first if the cache does not have them, which takes minutes.
set -euo pipefail
oses=(linux darwin windows) arches=(amd64 arm64)
[ "$1" != --here ] || { oses=("$(go env GOOS)") arches=("$(go env GOARCH)"); shift; }
to=$1
cd "$(dirname "$0")/.."
fail() { echo "release-build.sh: $*" >&2; exit 1; }
tools=${TRIGGERHOOK_CACHE:-$HOME/.cache/triggerhook}/release-tools
export PATH="$tools:$PATH"
for tool in github.com/goreleaser/goreleaser/v2@v2.15.1 github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0; do
  name=${tool%@*} && name=${name%/v2} && name=${name##*/}
  if [ ! -x "$tools/$name-${tool#*@}" ]; then
    # Not with the environment of the trial: the tools come from where all modules come from.
    (cd / && env -u GOMODCACHE -u GOPROXY -u GOPRIVATE -u GOWORK GOBIN="$tools" go install "$tool")
    mv "$tools/$name" "$tools/$name-${tool#*@}"
  fi
  ln -sf "$name-${tool#*@}" "$tools/$name"
done

list() { local IFS=,; echo "[$*]"; }
systems=$(mktemp)
trap 'rm -f "$systems"' EXIT
sed -E "s/^( +goos:).*/\1 $(list "${oses[@]}")/; s/^( +goarch:).*/\1 $(list "${arches[@]}")/" .goreleaser.yaml > "$systems"
goreleaser release --config "$systems" --clean --skip=publish,announce
cd dist
built=$((${#oses[@]} * ${#arches[@]}))
version=$(git describe --tags --exact-match --exclude '*/*')
sha256sum --check --quiet checksums.txt
[ "$(wc -l < checksums.txt)" = $((2 * built)) ] || fail "checksums.txt has $(wc -l < checksums.txt) lines, want $built archives and $built SBOMs"
for os in "${oses[@]}"; do
  for arch in "${arches[@]}"; do
    name=triggerhook_${version#v}_${os}_$arch
    if [ $os = windows ]; then
      unzip -Z1 "$name.zip" > files
    else
      tar -tf "$name.tar.gz" > files
    fi
    exe=triggerhook && [ $os != windows ] || exe=triggerhook.exe
    for file in $exe LICENSE README.md CHANGELOG.md completions/triggerhook.{bash,zsh,fish,powershell} man/triggerhook.1 man/triggerhook-serve.1; do
      grep -qx "$name/$file" files || fail "$name has no $file"
    done
    # The SBOM names each module that is in the binary, and the standard library.
    binary=$(echo ./*_"${os}_$arch"_*/$exe)
    go version -m "$binary" | awk '$1 == "dep" || $1 == "=>" { print $2 "@" $3 }' > modules
    [ -s modules ] || fail "$binary names no modules"
    grep -qx "github.com/triggerhook/triggerhook@$version" modules || fail "$binary does not have the library of $version"
    while read -r module; do
      grep -qF "\"pkg:golang/$module\"" "$name.cdx.json" || fail "$name.cdx.json lacks $module"
    done < modules
    grep -qF "\"pkg:golang/std@" "$name.cdx.json" || fail "$name.cdx.json lacks the standard library"
    grep -qF "\"$(sha256sum < "$binary" | cut -d ' ' -f 1)\"" "$name.cdx.json" || fail "$name.cdx.json is of another binary"
  done
done
tar -xf "triggerhook_${version#v}_linux_$(go env GOARCH).tar.gz"
ran=$("triggerhook_${version#v}_linux_$(go env GOARCH)/triggerhook" version --json)
[[ $ran == *"\"version\":\"$version\",\"commit\":\"$(git rev-parse HEAD)\""* ]] || fail "the binary says $ran"
# A build in another folder gives the same bytes.
(cd ../cmd/triggerhook && CGO_ENABLED=0 GOWORK=off go build -trimpath -buildvcs=false -o ../../dist/again \
  -ldflags "-s -w -X main.release=$version -X main.commit=$(git rev-parse HEAD) -X main.date=$(TZ=UTC git show -s --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)")
cmp again "triggerhook_${version#v}_linux_$(go env GOARCH)/triggerhook" || fail "a second build differs"
echo "$ran"
mkdir -p "$to"
find . -maxdepth 1 -type f \( -name checksums.txt -o -name 'triggerhook_*.*' \) -exec cp -t "$to" {} +
