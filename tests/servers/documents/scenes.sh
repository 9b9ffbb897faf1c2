# What documents begin with, as functions: read before every command that a document shows, as the servers' user.
export PGDATA=/data KINGBASE_DATA=/data PGHOST=/srv PGUSER=postgres PGDATABASE=postgres
export PATH=/usr/local/bin:/usr/lib/postgresql/15/bin:/usr/bin:/bin LC_ALL=C TZ=UTC WALKEEP_NODE=node1

sql() { psql -X -A -t -q -c "$1"; }

# Polls until a command succeeds.
until_it() {
    tries=12000
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { echo "waited in vain for: $*" >&2; return 1; }
        sleep 0.05
    done
}

nothing_pending() { [ -z "$(find /data/pg_wal/archive_status -name '*.ready')" ]; }

# fill N: ends so many segments.
fill() {
    sql "CREATE TABLE IF NOT EXISTS work (at int)"
    sql "DO \$\$ BEGIN FOR i IN 1..$1 LOOP INSERT INTO work VALUES (i); PERFORM pg_switch_wal(); END LOOP; END \$\$"
}

# go_to NAME: ends segments until that one is finished.
go_to() {
    tries=300
    until ls /data/pg_wal/archive_status/"$1".* >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { echo "never came to $1" >&2; return 1; }
        fill 1
    done
}

# archive_with COMMAND: what the server's configuration says from now on.
archive_with() {
    sed -i "s|^archive_command = .*|archive_command = '$1'|" /data/postgresql.conf
    pg_ctl reload -D /data >/dev/null
    until_it shows "$1"
}
WALKEEP_COMMAND='/usr/local/bin/walkeep archive %p --repo /archive'
shows() { [ "$(sql 'SHOW archive_command')" = "$1" ]; }

# A server that archives into /archive, with some WAL and a base backup there.
archiving() {
    walkeep init --repo /archive -D /data >/dev/null
    echo "restore_command = '/usr/local/bin/walkeep restore %f %p --repo /archive'" >>/data/postgresql.conf
    archive_with "$WALKEEP_COMMAND"
    fill 3
    rm -rf /backup/base
    pg_basebackup -D /backup/base -X none -c fast --no-sync >/dev/null 2>&1
    until_it nothing_pending
}

# What the manual's examples are about.
manual() {
    # The first segment is archived once more by hand: no checkpoint may have taken it.
    echo "wal_keep_size = '1GB'" >>/data/postgresql.conf
    archiving
    sql "SELECT pg_create_physical_replication_slot('node2', true)"
    go_to 000000010000000000000008
    until_it nothing_pending
    walkeep claim -D /data --repo /archive --node node3 >/dev/null
    mkdir -p /old/primary /backup/wal
    ln -s /data /old/primary/data
    cp /data/pg_wal/000000010000000000000008 /backup/wal/
    ln -s pg_control /data/global/sys_control
}
