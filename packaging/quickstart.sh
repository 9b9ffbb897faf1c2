#!/bin/sh
# walkeep in two minutes: a scratch PostgreSQL archives under load, dies, and is recovered to a point in time.
#
#   sh packaging/quickstart.sh
#
# It installs PostgreSQL 15 where it is missing, builds walkeep, and does the rest in a directory under /tmp, as the
# user postgres when it is started by root. Servers listen on Unix sockets in that directory alone. All of it goes
# away at the end; only installed packages and the build stay.
set -eu

cd "$(dirname "$0")/.."
postgresql=/usr/lib/postgresql/15/bin
user=
scratch=
policy=
killed=

step() { printf '\n== %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }
die() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }
indent() { sed 's/^/   | /'; }

# Runs a command as the user that the servers belong to, and shows nothing of it.
as_user() {
    if [ -n "$user" ]; then
        setpriv --reuid="$user" --regid="$user" --init-groups env -i PATH=/usr/bin:/bin LC_ALL=C "$@"
    else
        env -i PATH=/usr/bin:/bin LC_ALL=C "$@"
    fi
}

# Shows a command, runs it, and shows what it says.
show() {
    printf '   $ %s\n' "$*"
    as_user "$@" >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; die "this command failed: $*"; }
    indent <"$scratch/said"
}

# The processes that still run in a data directory, archive calls included.
processes_in() {
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/cwd" 2>/dev/null)" != "$1" ] || echo "${process#/proc/}"
    done
}

# A server that was killed has left shared memory behind, which only its next start finds and frees.
stop_server() {
    [ -e "$1/postmaster.pid" ] || return 0
    [ -z "$killed" ] || [ "$(head -n 1 "$1/postmaster.pid")" != "$killed" ] || (start_server "$1") || true
    as_user "$postgresql/pg_ctl" stop -D "$1" -m immediate >/dev/null 2>&1 || true
}

clean_up() {
    status=$?
    trap - EXIT
    if [ -n "$scratch" ]; then
        [ "$status" = 0 ] || for log in "$scratch"/*.log; do
            [ ! -s "$log" ] || { echo "--- end of $log"; tail -n 20 "$log"; } >&2
        done
        stop_server "$scratch/recovered"
        stop_server "$scratch/primary"
        rm -rf "$scratch"
    fi
    [ -z "$policy" ] || rm -f "$policy"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_for SECONDS WHAT COMMAND...: polls until the command succeeds.
wait_for() {
    tries=$(($1 * 5))
    what=$2
    shift 2
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || die "waited in vain until $what"
        sleep 0.2
    done
}

install_packages() {
    [ ! -x "$postgresql/postgres" ] || [ ! -x "$postgresql/pgbench" ] || [ ! -x "$postgresql/pg_basebackup" ] || return 0
    [ "$(id -u)" = 0 ] || die "PostgreSQL 15 is missing: start this once as root, or install the package postgresql-15"
    command -v apt-get >/dev/null 2>&1 || die "PostgreSQL 15 is missing, and so is apt-get to install it"
    step "Installing PostgreSQL 15"
    # Debian's default cluster is not needed here: keep it from starting.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends postgresql-15 >/dev/null
    [ -z "$policy" ] || rm -f "$policy"
    policy=
}

build() {
    step "Building walkeep"
    command -v cargo >/dev/null 2>&1 || PATH=$HOME/.cargo/bin:$PATH
    command -v cargo >/dev/null 2>&1 || die "Rust is missing: install Rust 1.95 or newer"
    command -v cc >/dev/null 2>&1 || die "a C compiler is missing: install the package gcc"
    cargo build --release --locked
    target=${CARGO_TARGET_DIR:-target}
    "$target/release/walkeep" --version | indent
}

make_scratch() {
    if [ "$(id -u)" = 0 ]; then
        user=postgres
    fi
    scratch=$(mktemp -d /tmp/walkeep-XXXXXX)
    chmod 755 "$scratch"
    [ -z "$user" ] || chown "$user" "$scratch"
    install -m 755 "$target/release/walkeep" "$scratch/walkeep"
    walkeep=$scratch/walkeep
    repo=$scratch/repo
    # The servers' user may not be able to see the directory that this was started in.
    cd "$scratch"
}

psql() {
    as_user "$postgresql/psql" -X -q -A -t -h "$scratch" -p "$port" -U postgres -d postgres -c "$1"
}

# configure DATADIR: appends standard input to its configuration, and shows it.
configure() {
    tee "$scratch/settings" | indent
    as_user sh -c "cat '$scratch/settings' >>'$1/postgresql.conf'"
}

# A child of this script, not of pg_ctl: whoever adopts that one's children may be slow to bury them, and a server does
# not start while its predecessor seems to live.
start_server() {
    as_user "$postgresql/postgres" -D "$1" >>"$1.log" 2>&1 &
    wait_for 60 "the server in $1 takes connections" is_ready "$1"
}

# The server itself says so in the eighth line of its lock file; one that was killed left the line behind.
is_ready() {
    [ "$(sed -n '1p' "$1/postmaster.pid" 2>/dev/null)" != "$killed" ] || return 1
    sed -n '8p' "$1/postmaster.pid" 2>/dev/null | grep -q ready
}

start_primary() {
    step "Starting a scratch server${user:+ as the user $user}"
    port=5432
    as_user "$postgresql/initdb" -D "$scratch/primary" -U postgres -A trust -E UTF8 --no-locale -N >/dev/null
    say "appended to $scratch/primary/postgresql.conf:"
    configure "$scratch/primary" <<SETTINGS
listen_addresses = ''
unix_socket_directories = '$scratch'
port = $port
timezone = 'UTC'
SETTINGS
    start_server "$scratch/primary"
    psql "SELECT 'PostgreSQL ' || current_setting('server_version')" | indent
}

begin_archiving() {
    step "Making a repository for that cluster"
    show "$walkeep" init --repo "$repo" -D "$scratch/primary"
    say "appended to $scratch/primary/postgresql.conf:"
    configure "$scratch/primary" <<SETTINGS
wal_level = replica
archive_mode = on
archive_command = '$walkeep archive %p --repo $repo'
SETTINGS
    as_user "$postgresql/pg_ctl" stop -D "$scratch/primary" -m fast >/dev/null
    start_server "$scratch/primary"
}

load() {
    as_user "$postgresql/pgbench" -h "$scratch" -p "$port" -U postgres "$@" postgres >"$scratch/pgbench.log" 2>&1
}

archived_all() {
    [ -z "$(find "$scratch/primary/pg_wal/archive_status" -name '*.ready')" ]
}

archived() {
    [ -e "$repo/$1" ] || [ -e "$repo/$1.zst" ]
}

work_and_crash() {
    step "Taking a base backup, then working under load"
    load -i -q -s 5
    as_user "$postgresql/pg_basebackup" -h "$scratch" -p "$port" -U postgres -D "$scratch/backup" -X none -c fast --no-sync \
        2>"$scratch/pg_basebackup.log" || die "pg_basebackup failed: $(cat "$scratch/pg_basebackup.log")"
    load -n -c 4 -t 1000
    good_time=$(psql "SELECT clock_timestamp()")
    good_rows=$(psql "SELECT count(*) FROM pgbench_history")
    say "at $good_time all is well: $good_rows rows in pgbench_history"
    load -n -c 4 -t 250
    psql "DELETE FROM pgbench_history WHERE mtime < '$good_time'"
    say "a mistake: rows are deleted, $(psql "SELECT count(*) FROM pgbench_history") are left"

    step "Killing the server with kill -9 while it works"
    load -n -c 4 -T 60 &
    pgbench=$!
    last=$(psql "SELECT pg_walfile_name(pg_switch_wal())")
    wait_for 60 "'$last' is archived" archived "$last"
    killed=$(head -n 1 "$scratch/primary/postmaster.pid")
    kill -9 "$killed"
    wait "$pgbench" || true
    wait_for 60 "its last process is gone" primary_is_gone
    say "gone, in the midst of transactions; $(find "$repo" -maxdepth 1 -type f | wc -l) files are in the repository:"
    as_user ls -l "$repo" | indent
}

primary_is_gone() {
    [ -z "$(processes_in "$scratch/primary")" ]
}

recover() {
    step "Recovering the backup to the time before the mistake"
    port=5433
    as_user cp -a "$scratch/backup" "$scratch/recovered"
    say "appended to $scratch/recovered/postgresql.conf, beside an empty file recovery.signal:"
    configure "$scratch/recovered" <<SETTINGS
port = $port
restore_command = '$walkeep restore %f %p --repo $repo'
recovery_target_time = '$good_time'
recovery_target_action = 'promote'
SETTINGS
    as_user touch "$scratch/recovered/recovery.signal"
    start_server "$scratch/recovered"
    wait_for 60 "recovery has ended" recovery_has_ended
    grep -E 'recovery stopping|selected new timeline|archive recovery complete' "$scratch/recovered.log" | sed 's/^.* LOG:  //' | indent
    recovered_rows=$(psql "SELECT count(*) FROM pgbench_history")
    [ "$recovered_rows" = "$good_rows" ] || die "recovered $recovered_rows rows instead of $good_rows"
    say "all $recovered_rows rows are back."
}

recovery_has_ended() {
    [ "$(psql "SELECT pg_is_in_recovery()")" = f ]
}

look_closer() {
    step "Looking closer at one archived file"
    stored=$(ls "$repo/$last" "$repo/$last.zst" 2>/dev/null || true)
    show "$walkeep" inspect "$stored"
    step "Done: nothing that was archived is lost. The servers and $scratch go away now."
}

install_packages
build
make_scratch
start_primary
begin_archiving
work_and_crash
recover
look_closer
