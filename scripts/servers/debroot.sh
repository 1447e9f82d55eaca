#!/usr/bin/env bash
# debroot.sh SUITE ROOT PKG...  : unpack PKGs + full dependency closure from a Debian SUITE into ROOT,
# touching neither the machine's dpkg database nor its apt state. Idempotent; .debs cached in $DEBROOT_CACHE.
set -euo pipefail
suite=$1 root=$2; shift 2
cache=${DEBROOT_CACHE:?}/$suite
stamp=$root/.debroot-ok
mkdir -p "$cache"/{lists/partial,archives/partial,none/partial,etc}; exec 9>"$cache/lock"; flock 9
[ "$(cat "$stamp" 2>/dev/null)" = "$suite $*" ] && exit 0
# mirror = first http(s) URI the machine's own apt uses for main Debian (deb822 or one-line format)
mirror=$(apt-get --print-uris update | sed -nE "s,^'(https?://[^']*/debian)/dists/.*,\1,p" | head -n1)
: "${mirror:?no Debian mirror in apt sources}"
: >"$cache/status"
key=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$key] $mirror $suite main" >"$cache/etc/sources.list"
apt() { apt-get -qq -o Dir::Etc::sourcelist="$cache/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null \
  -o Dir::Etc::preferencesparts=/dev/null -o Dir::State="$cache" -o Dir::State::lists="$cache/lists" \
  -o Dir::State::status="$cache/status" -o Dir::Cache="$cache" -o Dir::Cache::archives="$cache/archives" \
  -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Keep-Downloaded-Packages=1 \
  -o APT::Install-Recommends=0 "$@"; }
find "$cache/lists" -maxdepth 1 -name '*_Packages*' -mmin -1440 | grep -q . || apt update
# an empty archives dir makes --print-uris list the whole closure, not only what is still to be fetched
mapfile -t debs < <(apt install -y --print-uris -o Dir::Cache::archives="$cache/none" "$@" | awk '{print $2}')
apt install -y --download-only "$@" >/dev/null
rm -rf "$root"; mkdir -p "$root"
for d in "${debs[@]}"; do dpkg-deb --fsys-tarfile "$cache/archives/$d" | tar -xf - -C "$root" --keep-directory-symlink --no-same-owner; done
echo "$suite $*" >"$stamp"
