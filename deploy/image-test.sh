#!/usr/bin/env bash
# image-test.sh: builds the image of the Containerfile and runs it as Kubernetes does, without a container engine. Needs root (mounts), and no network but the
# package mirrors. Run it with servers: go run ./internal/testserver/servers bash deploy/image-test.sh
#
# buildah, umoci and crun of Debian are unpacked into the cache folder and run in a chroot there, in a mount namespace of their own. golang:1.26, which the
# Containerfile begins with, is stood in for by busybox with the Go of this machine and its caches; the image itself begins from scratch, so it is the real one.
# Seen then: user 65532, no capability, no new privileges, a read-only root; the probes answer, a task is created; SIGTERM ends it with exit code 0.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${TRIGGERHOOK_TEST_MYSQL:?}" "${TRIGGERHOOK_TEST_REDIS:?}"
if [ "${IN_NAMESPACE:-}" != yes ]; then
  [ "$(id -u)" = 0 ] || { echo "image-test.sh: needs root, because it mounts" >&2; exit 1; }
  IN_NAMESPACE=yes exec unshare --mount --propagation private bash "$0"
fi
fail() { echo "image-test.sh: $*" >&2; cat "$work/log" >&2 2>/dev/null; exit 1; }
cache=${TRIGGERHOOK_CACHE:-$HOME/.cache/triggerhook}
export DEBROOT_CACHE=$cache/debs
bash scripts/servers/debroot.sh bookworm "$cache/oci" buildah crun umoci busybox-static mariadb-client-core
work=$(mktemp -d)
root=$work/root
run=
trap '[ -z "$run" ] || crun delete --force image 2>/dev/null || :; umount -l "$root" 2>/dev/null || :; rm -rf --one-file-system "$work"' EXIT
git clone -q . "$work/src" # what is committed, as a build of a fresh clone has it

# A root for the programs, which they may write to: the cache stays as it is.
mkdir -p "$root" "$work/upper"
cp -a "$cache/oci/." "$root/"
mount --bind "$root" "$root" # a chroot whose root is no mount cannot be remounted
mkdir -p "$root"/{tmp,proc,dev,sys,src,root,run,out,go,gomod,gocache}
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/sys"
mkdir -p "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" # crun 1.8 refuses the hybrid of both versions
mount --bind "$work/src" "$root/src"
mount --bind "$(go env GOROOT)" "$root/go"
mkdir -p "$(go env GOMODCACHE)" "$(go env GOCACHE)"
mount --bind "$(go env GOMODCACHE)" "$root/gomod"
mount --bind "$(go env GOCACHE)" "$root/gocache"
echo "root:x:0:0::/root:/bin/sh" > "$root/etc/passwd"
echo "root:x:0:" > "$root/etc/group"
cp /etc/ssl/certs/ca-certificates.crt "$root/tmp/authorities"
within() { env -i PATH=/usr/bin:/usr/sbin:/bin:/sbin HOME=/root TMPDIR=/tmp BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs chroot "$root" "$@"; }
buildah() { within /usr/bin/buildah "$@"; }
crun() { within /usr/bin/crun --root=/run/crun --cgroup-manager=disabled "$@"; }

(cd cmd/triggerhook && go list -deps . > "$work/log") # the build has the modules of this machine, and no network
base=$(buildah from scratch)
mkdir "$root/tmp/empty"
{
  for file in busybox sh mkdir; do buildah copy "$base" /bin/busybox "/bin/$file"; done
  buildah copy "$base" /tmp/authorities /etc/ssl/certs/ca-certificates.crt
  buildah copy "$base" /tmp/empty /tmp
  buildah config --env PATH=/usr/local/go/bin:/bin --env HOME=/root --env GOFLAGS=-buildvcs=false --env GOPROXY=off "$base"
  buildah commit -q "$base" docker.io/library/golang:1.26
  buildah bud --pull-never -f /src/deploy/Containerfile --ignorefile /src/deploy/Containerfile.dockerignore --build-arg VERSION=v0.0.1 \
    -v /go:/usr/local/go:ro -v /gomod:/root/go/pkg/mod:ro -v /gocache:/root/.cache/go-build -t triggerhook /src
  buildah push triggerhook oci:/out/image:triggerhook
  within /usr/bin/umoci unpack --image /out/image:triggerhook /out/bundle
} > "$work/log" 2>&1 || fail "the image does not build"
bundle=$root/out/bundle
[ "$(cd "$bundle/rootfs" && find . -type f | sort | xargs)" = "./etc/ssl/certs/ca-certificates.crt ./usr/bin/triggerhook" ] || fail "the image has other files: $(cd "$bundle/rootfs" && find . -type f)"
[ "$(stat -c %u:%g "$bundle/rootfs/data")" = 65532:65532 ] || fail "/data is not the user's"
cp "$bundle/config.json" "$work/config.json"
mkdir "$bundle/data" "$bundle/secrets"
chown 65532:65532 "$bundle/data"

# start runs the image with what Kubernetes would add: the fields of a jq program. It waits until /healthz answers at a URL that the log names.
start() {
  jq '.root.readonly = true | .process.terminal = false | .process.capabilities = {} | .process.noNewPrivileges = true
    | .mounts |= map(select(.destination | startswith("/sys") | not)) | '"$1" "$work/config.json" > "$bundle/config.json"
  crun run --bundle /out/bundle image > "$work/log" 2>&1 &
  run=$!
}
# until_ok runs a command until it succeeds, for at most 30 s.
until_ok() {
  local deadline=$((SECONDS + 30))
  until "$@" > "$work/answer" 2>&1; do
    kill -0 "$run" 2>/dev/null || fail "the container has ended"
    [ $SECONDS -lt $deadline ] || fail "not so after 30 s: $*: $(cat "$work/answer")"
    read -rt 0.2 <> <(:) || :
  done
}
get() { nsenter -t "$pid" -n curl -sS --fail-with-body "$@"; }
# has reads a page to its end, and looks for a text in it.
has() { local text=$1 && shift && get "$@" > "$work/answer" && grep -q "$text" "$work/answer"; }
inside() { pid=$(crun state image 2>/dev/null | jq .pid) && [ "$pid" -gt 0 ] && grep -q triggerhook "/proc/$pid/cmdline"; }
state() { # of the process: the user, and no rights
  for want in 'Uid:	65532	65532	65532	65532' 'Gid:	65532	65532	65532	65532' 'CapEff:	0000000000000000' 'NoNewPrivs:	1'; do
    grep -qx "$want" "/proc/$pid/status" || fail "the process does not have: $want"
  done
}
ended() { # well, after SIGTERM, which the kubelet sends
  local deadline=$((SECONDS + 60))
  while kill -0 "$run" 2>/dev/null; do
    [ $SECONDS -lt $deadline ] || fail "it does not end"
    read -rt 0.2 <> <(:) || :
  done
  wait "$run" || fail "it ended with exit code $?"
  run=
}

# The image as it is, with a volume for its file, in a network of its own.
start '.mounts += [{destination: "/data", type: "bind", source: "/out/bundle/data", options: ["bind", "rw"]}]'
until_ok inside
until_ok get http://127.0.0.1:8080/readyz
state
has '"outcome":"created"' http://127.0.0.1:8080/v1/tasks -H 'Content-Type: application/json' -d '{"id":"a","in":"1h","url":"https://example.com/"}' || fail "no task was created"
crun kill image TERM
ended
[ "$(stat -c %u "$bundle/data/triggerhook.db")" = 65532 ] || fail "the file of tasks is not the user's"
# Without the volume the root is read-only: it ends, and says why.
start .
! wait "$run" || fail "it runs without a volume"
run=
grep -q 'triggerhook.db.*read-only' "$work/log" || fail "it does not say why"

# As the chart runs it: tokens, secrets, MySQL, Redis. The network is that of this machine, where both are.
dsn=${TRIGGERHOOK_TEST_MYSQL}
user=${dsn%%@*} host=${dsn#*(} && host=${host%%)*}
password=${user#*:} && [ "$password" != "$user" ] || password=
database=image_$$
token=$("$bundle/rootfs/usr/bin/triggerhook" token new --name test --scopes read,write,operate --json)
jq -r .line <<< "$token" > "$bundle/secrets/tokens"
echo "whsec_$(head -c 32 /dev/urandom | base64)" > "$bundle/secrets/webhook-secrets"
chmod 0440 "$bundle"/secrets/*
chgrp 65532 "$bundle"/secrets/*
sql() { within /usr/bin/mariadb --protocol=tcp -h "${host%:*}" -P "${host##*:}" -u "${user%%:*}" "--password=$password" -e "$1"; }
sql "CREATE DATABASE $database"
start '.linux.namespaces |= map(select(.type != "network"))
  | .process.args = ["/usr/bin/triggerhook", "serve", "--json", "--listen=:0", "--metrics-listen=:0", "--namespace=triggerhook", "--tokens=/etc/triggerhook/tokens",
      "--webhook-secret-file=/etc/triggerhook/webhook-secrets", "--concurrency=256", "--webhook-per-host=128", "--drain-delay=1s", "--drain=30s", "--migrate"]
  | .process.env += ["TRIGGERHOOK_STORE=mysql://'"$user@$host/$database"'", "TRIGGERHOOK_HOT=redis://'"$TRIGGERHOOK_TEST_REDIS"'"]
  | .mounts += [{destination: "/etc/triggerhook", type: "bind", source: "/out/bundle/secrets", options: ["bind", "ro"]}]'
until_ok inside
until_ok grep -q '"listening for metrics"' "$work/log"
port() { jq -r --arg msg "$1" 'select(.msg == $msg) | .address' "$work/log" | sed 's/.*://'; }
api=http://127.0.0.1:$(port listening)
until_ok get "$api/readyz"
state
get "$api/healthz" > /dev/null
has '^triggerhook_file_failed{file="tokens"} 0$' "http://127.0.0.1:$(port 'listening for metrics')/metrics" || fail "no metrics"
has '"outcome":"created"' "$api/v1/tasks" -H "Authorization: Bearer $(jq -r .token <<< "$token")" -H 'Content-Type: application/json' \
  -d '{"in":"1h","url":"https://example.com/"}' || fail "no task was created"
crun kill image TERM
draining() { [ "$(curl -sS -o "$work/answer" -w '%{http_code}' "$api/readyz")" = 503 ]; }
until_ok draining
ended
sql "DROP DATABASE $database"
"$bundle/rootfs/usr/bin/triggerhook" version
echo "image-test: the image runs as user 65532, with a read-only root, on a file and on MySQL and Redis; probes, a task, SIGTERM"
