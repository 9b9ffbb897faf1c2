#!/bin/sh
# Makes the pictures beside it anew: a real server under load, a watch, and what Chromium shows of its page. Takes about
# five minutes and leaves nothing behind. As root, after 'sh tests/run.sh --setup' and 'cargo build':
#
#   sh docs/pictures/make.sh
#
# Another build is named by WALKEEP=PATH.
set -eu

pictures=$(cd "$(dirname "$0")" && pwd)
walkeep=${WALKEEP:-${CARGO_TARGET_DIR:-$pictures/../../target}/debug/walkeep}
postgresql=/usr/lib/postgresql/15/bin
# The paths stand in the pictures.
at=/tmp/db1
load=
watch=

die() { echo "make.sh: $*" >&2; exit 1; }

as_server() {
    ${exec:-} setpriv --reuid=postgres --regid=postgres --init-groups env -i PATH="$at/bin:$postgresql:/usr/bin:/bin" \
        HOME="$at" PGHOST="$at" WALKEEP_NODE=db1 LC_ALL=C "$@"
}

clean_up() {
    trap - EXIT
    [ -z "$load" ] || kill "$load" 2>/dev/null || true
    [ -z "$watch" ] || kill "$watch" 2>/dev/null || true
    as_server pg_ctl stop -D $at/data -m immediate >/dev/null 2>&1 || true
    wait
    umount $at/archive 2>/dev/null || true
    rm -rf "$at"
}

[ "$(id -u)" = 0 ] || die "it has to run as root: it mounts a file system, and becomes the user postgres"
[ -x "$walkeep" ] || die "there is no '$walkeep': cargo build, or WALKEEP=PATH"
mkdir $at || die "somebody uses $at"
trap clean_up EXIT
trap 'exit 130' INT TERM

mkdir $at/bin $at/archive $at/chromium
cp "$walkeep" $at/bin/walkeep
chown postgres: $at
# A disk of its own, as it should be.
mount -t tmpfs -o size=400g,mode=700,uid=postgres walkeep-pictures $at/archive
cat >$at/walkeep.toml <<CONFIG
[prune]
keep_backups = 1

[gate]
stuck_after = "30s"
CONFIG

as_server initdb -D $at/data --auth=trust >/dev/null
cat >>$at/data/postgresql.conf <<CONFIG
listen_addresses = ''
unix_socket_directories = '$at'
archive_mode = on
archive_command = 'walkeep archive %p --repo $at/archive'
restore_command = 'walkeep restore %f %p --repo $at/archive'
max_wal_size = 512MB
checkpoint_timeout = 30s
CONFIG
as_server walkeep init -D $at/data --repo $at/archive >/dev/null
server() { as_server pg_ctl "$1" -D $at/data -w -l $at/log >/dev/null; }
sql() { as_server psql -qAtX -d postgres -c "$1"; }
server start
as_server pgbench -q -i -s 8 postgres 2>/dev/null
as_server pg_basebackup -D $at/base -c fast -X none 2>/dev/null
as_server pgbench -n -T 10 postgres >/dev/null 2>&1
# Another timeline.
server stop
as_server touch $at/data/recovery.signal
server start
until [ "$(sql "SELECT pg_is_in_recovery()")" = f ]; do sleep 0.2; done
sql CHECKPOINT

exec=exec as_server walkeep watch --config $at/walkeep.toml -D $at/data --repo $at/archive --listen 0 2>$at/watch.log &
watch=$!
exec=exec as_server pgbench -n -c 2 -T 600 -R 100 postgres >/dev/null 2>&1 &
load=$!
switch() { # switch TIMES SECONDS: that many segments, so far apart
    for _ in $(seq "$1"); do
        sql "SELECT pg_switch_wal()" >/dev/null
        sleep "$2"
    done
}
archiver() { kill -s "$1" "$(sql "SELECT pid FROM pg_stat_activity WHERE backend_type = 'archiver'")"; }
shoot() { # shoot NAME SCREEN [FLAG]
    url=$(sed -n 's/.*listening on //p' $at/watch.log)
    HOME=$at timeout 60 chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --host-resolver-rules="MAP * ~NOTFOUND, EXCLUDE 127.0.0.1" \
        --user-data-dir=$at/chromium --hide-scrollbars --start-fullscreen --screen-info="{$2}" \
        --screenshot="$pictures/$1" ${3:-} "$url/" >$at/chromium.log 2>&1 || die "Chromium: $(tail -n 3 $at/chromium.log)"
}

# A queue that comes and goes.
switch 10 3
archiver STOP
switch 14 2
archiver CONT
switch 15 3
archiver STOP
switch 6 3
archiver CONT
switch 12 3
shoot watch.png 1280x1340

# One that stands still, a hole in the archive, and a slot that nobody reads.
sql "SELECT pg_create_physical_replication_slot('standby1', true)" >/dev/null
sql "ALTER SYSTEM SET archive_command = 'exit 1'"
sql "SELECT pg_reload_conf()" >/dev/null
hole=$(find $at/archive -maxdepth 1 -name '00000002*.zst' | sort | sed -n 10p)
rm "$hole" "${hole%.zst}.sha256" 2>/dev/null || rm -f "$hole"
switch 24 2
shoot watch-phone.png 360x1700 --blink-settings=preferredColorScheme=0
ls -l "$pictures"/*.png
