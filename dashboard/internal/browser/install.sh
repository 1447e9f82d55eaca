#!/usr/bin/env bash
# install.sh CACHE : bring Chromium, a few fonts and axe-core into CACHE, from the machine's own mirrors. Needs no root and changes
# nothing outside CACHE. Idempotent; processes that race for the same CACHE wait for one another. Prints the folder that was installed:
# programs under root/, axe.min.js beside it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
servers=$here/../../../scripts/servers
cache=$1 base=$1/chromium root=$1/chromium/root
axe=4.14.1
axesum=29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c
export DEBROOT_CACHE=$cache/debs
mkdir -p "$base" 2>/dev/null || { echo "cannot write to $cache: set TRIGGERHOOK_CACHE to a folder that can be written" >&2; exit 1; }
exec 8>"$base/lock"; flock 8
[ -e "$base/installed" ] && { echo "$base"; exit 0; }
"$servers/debroot.sh" bookworm "$root" chromium patchelf fonts-inter fonts-dejavu-core
# The programs find their files by where they are themselves, so they cannot run under another loader: their own loader is
# written into them. The libraries come from LD_LIBRARY_PATH.
for loader in "$root"/lib/*-linux-gnu/ld-linux*.so.* "$root"/lib64/ld-linux*.so.*; do [ -f "$loader" ] && ld=$(readlink -f "$loader"); done
for program in chromium chrome_crashpad_handler; do
  "$servers/debrun.sh" "$root" usr/bin/patchelf --set-interpreter "${ld:?}" "$root/usr/lib/chromium/$program"
done
mkdir -p "$base/fontcache"
cat >"$base/fonts.conf" <<XML
<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>$root/usr/share/fonts</dir><cachedir>$base/fontcache</cachedir>
<alias binding="strong"><family>system-ui</family><prefer><family>Inter</family></prefer></alias>
<alias binding="strong"><family>sans-serif</family><prefer><family>Inter</family></prefer></alias>
<alias binding="strong"><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias></fontconfig>
XML
mkdir -p "$base/npm"; (cd "$base/npm"; npm i --no-audit --no-fund --ignore-scripts "axe-core@$axe") >&2
cp "$base/npm/node_modules/axe-core/axe.min.js" "$base/axe.min.js"
echo "$axesum  $base/axe.min.js" | sha256sum -c --quiet >&2
touch "$base/installed"; echo "$base"
