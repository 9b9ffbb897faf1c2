#!/bin/sh
# Measures walkeep beside its peers: makes real WAL with PostgreSQL 15, sets the peers up, prints one table.
#
#   sh benches/run.sh [RUNS]
#
# Contenders of one question run in turn (A B C A B C); medians and the medians of pairwise ratios are printed.
# Everything lies under WALKEEP_BENCH_DIR (default /var/tmp/walkeep-bench) and is kept: the WAL is made once.
set -eu

runs=${1:-15}
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
work=${WALKEEP_BENCH_DIR:-/var/tmp/walkeep-bench}
pg=/usr/lib/postgresql/15/bin

[ "$(id -u)" = 0 ] || { echo "run as root: the server and the peers run as the user postgres" >&2; exit 1; }

missing=
[ -x "$pg/postgres" ] || missing="$missing postgresql-15"
command -v pgbackrest >/dev/null || missing="$missing pgbackrest"
[ -x /usr/bin/python3 ] || missing="$missing python3"
[ -x /usr/bin/time ] || missing="$missing time"
command -v zstd >/dev/null || missing="$missing zstd"
command -v gcc >/dev/null || missing="$missing gcc libc6-dev"
[ -e /usr/include/zstd.h ] || missing="$missing libzstd-dev"
[ -e /usr/include/openssl/evp.h ] || missing="$missing libssl-dev"
if [ -n "$missing" ]; then
    apt-get update >/dev/null
    # shellcheck disable=SC2086  # a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y $missing >/dev/null
fi

as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"; }
sql() { as_postgres psql -h "$work/socket" -Atqc "$1" postgres; }

make_wal() {
    rm -rf "$work"
    mkdir -p "$work"
    chown postgres: "$work"
    chmod 755 "$work"
    as_postgres mkdir "$work/socket" "$work/archive" "$work/packs-well" "$work/packs-badly"
    cd "$work"
    as_postgres "$pg/initdb" -D "$work/data" -A trust --no-instructions >/dev/null
    as_postgres tee -a "$work/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$work/socket'
archive_mode = on
archive_command = 'cp %p $work/archive/%f'
shared_buffers = 512MB
max_wal_size = 1GB
CONF
    as_postgres "$pg/pg_ctl" -D "$work/data" -l "$work/log" -w start >/dev/null
    trap 'as_postgres "$pg/pg_ctl" -D "$work/data" -m fast -w stop >/dev/null' EXIT
    echo "making WAL that packs well: pgbench" >&2
    as_postgres "$pg/pgbench" -h "$work/socket" -i -q -s 20 postgres >/dev/null 2>&1
    sql checkpoint
    as_postgres rm -rf "$work/archive" && as_postgres mkdir "$work/archive"
    until [ "$(ls "$work/archive" | wc -l)" -ge 26 ]; do
        as_postgres "$pg/pgbench" -h "$work/socket" -n -c 4 -T 5 postgres >/dev/null 2>&1
        sql checkpoint
    done
    # The first may hold the end of the bulk load, the last may still be growing.
    ls "$work/archive" | sed -n '2,25p' | while read -r name; do as_postgres mv "$work/archive/$name" "$work/packs-well/"; done
    echo "making WAL that packs badly: random keys and payloads" >&2
    sql "create table ev (id bigserial primary key, k uuid default gen_random_uuid(), payload bytea); create index on ev (k)"
    sql "select pg_switch_wal()" >/dev/null
    sleep 2
    as_postgres rm -rf "$work/archive" && as_postgres mkdir "$work/archive"
    until [ "$(ls "$work/archive" | wc -l)" -ge 26 ]; do
        sql "insert into ev (payload) select decode(md5(random()::text) || md5(random()::text), 'hex') || sha256(random()::text::bytea) || convert_to(repeat('status=ok;', 4), 'UTF8') from generate_series(1, 50000)"
    done
    ls "$work/archive" | sed -n '2,25p' | while read -r name; do as_postgres mv "$work/archive/$name" "$work/packs-badly/"; done
    sql "select pg_switch_wal()" >/dev/null
    as_postgres tee "$work/pgbackrest.conf" >/dev/null <<CONF
[global]
repo1-path=$work/pgbackrest
log-path=$work
lock-path=$work
spool-path=$work
log-level-console=off
log-level-file=off
[bench]
pg1-path=$work/data
pg1-socket-path=$work/socket
CONF
    as_postgres pgbackrest --config="$work/pgbackrest.conf" --stanza=bench stanza-create
    as_postgres "$pg/pg_ctl" -D "$work/data" -m fast -w stop >/dev/null
    trap - EXIT
    for set in packs-well packs-badly; do
        for segment in "$work/$set"/*; do
            as_postgres cp "$segment" "$work/data/pg_wal/"
            as_postgres touch "$work/data/pg_wal/archive_status/$(basename "$segment").ready"
        done
    done
    touch "$work/complete"
}

[ -e "$work/complete" ] || make_wal
# Linked statically: half of what a call that confirms a file costs is the loader's work on shared libraries.
target=$(rustc -vV | sed -n 's/^host: //p')
(cd "$top" && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --quiet --target "$target")
cp "${CARGO_TARGET_DIR:-$top/target}/$target/release/walkeep" "$work/walkeep"
echo 'int main(void) { return 0; }' | gcc -O2 -static -x c -o "$work/empty" -
gcc -O2 -o "$work/bare" "$here/bare.c" -lzstd -lcrypto
cp "$here/measure.py" "$here/drain.py" "$here/restore.py" "$here/cleanup.py" "$here/prune.py" "$here/growth.py" "$top/tests/fixtures/15-debian/pg_control.walseg1MB" "$work/"
cd "$work"
as_postgres /usr/bin/python3 "$work/measure.py" "$work" "$runs"
as_postgres /usr/bin/python3 "$work/drain.py" "$work" "$runs"
as_postgres /usr/bin/python3 "$work/restore.py" "$work" "$runs"
as_postgres /usr/bin/python3 "$work/cleanup.py" "$work" "$runs"
as_postgres /usr/bin/python3 "$work/prune.py" "$work" "$runs"
as_postgres /usr/bin/python3 "$work/growth.py" "$work" "$runs" "$work/growth.svg"
cp "$work/growth.svg" "$top/docs/pictures/growth.svg"
