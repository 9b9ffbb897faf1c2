#!/bin/sh
# Builds walkeep for other hosts, and packs it as .deb and .rpm.
#
#   sh packaging/build.sh                                  against glibc 2.17, for x86-64
#   sh packaging/build.sh --target aarch64-unknown-linux-gnu
#   sh packaging/build.sh --libc static                    glibc inside: runs on any Linux, starts faster
#   sh packaging/build.sh --libc native                    what 'cargo build' makes on this machine: for tests
#
#   --out DIR              where the packages go; default: target/packages
#   --package-version V    instead of Cargo.toml's; for tests of an upgrade
#   --only binary|deb|rpm  only that, laid into DIR
#   --only tools           nothing yet: only what packs a .deb is compiled, and kept
#
# The same commit gives the same bytes, wherever it is built: everything is pinned (Cargo.lock, the tools below), no path
# of the machine gets into the binary, and all times are the commit's. Rust itself has to be the same version.
#
# The tools are kept in ${WALKEEP_BUILD_CACHE:-~/.cache/walkeep-build}: zig, which brings the symbols of every glibc, and
# cargo-zigbuild come from PyPI, cargo-deb and cargo-generate-rpm from crates.io.
set -eu

CARGO_DEB=3.8.0
CARGO_GENERATE_RPM=0.21.1
# One line a wheel, as pip reads it: nothing else is taken.
PYTHON_TOOLS='
ziglang==0.15.2 --hash=sha256:806316453d1ede7174ed3fefb8e5348154629089c3bb5fe812dfd0e172fac130
cargo-zigbuild==0.24.0 --hash=sha256:484412e39e4c6039474535ce97ee75a22bab22d58233056f8ec8a8f9034bb957
'
GLIBC=2.17

here=$(pwd)
cd "$(dirname "$0")/.."
tree=$(pwd -P)
cache=${WALKEEP_BUILD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/walkeep-build}
target=x86_64-unknown-linux-gnu
libc=glibc
out=
version=
only=all

say() { printf '%s\n' "build.sh: $*" >&2; }
die() { say "$*"; exit 1; }

while [ $# -gt 0 ]; do
    case $1 in
        --target | --out | --libc | --package-version | --only)
            [ $# -ge 2 ] || die "$1 takes a value"
            case $1 in
                --target) target=$2 ;;
                --out) case $2 in /*) out=$2 ;; *) out=$here/$2 ;; esac ;;
                --libc) libc=$2 ;;
                --package-version) version=$2 ;;
                --only) only=$2 ;;
            esac
            shift 2
            ;;
        *) die "unknown argument '$1'; the head of this script tells which are known" ;;
    esac
done
case $target in
    x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) ;;
    *) die "unknown target '$target'; known are x86_64-unknown-linux-gnu and aarch64-unknown-linux-gnu" ;;
esac
case $libc in
    glibc | static | native) ;;
    *) die "unknown C library '$libc'; known are glibc, static and native" ;;
esac
case $only in
    all | binary | deb | rpm | tools) ;;
    *) die "unknown package '$only'; known are all, binary, deb, rpm and tools" ;;
esac
host=$(rustc -vV | sed -n 's/^host: //p')
[ "$libc" = glibc ] || [ "$target" = "$host" ] || die "--libc $libc builds for this machine ($host) alone"
[ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] ||
    die "Rust's standard library for $target is not here: 'rustup target add $target' fetches it where rustup reaches its server"

# Apart from what cargo builds otherwise, for other flags would throw that away.
shared=${CARGO_TARGET_DIR:-$tree/target}
export CARGO_TARGET_DIR="$shared/packages/$libc"
out=${out:-$CARGO_TARGET_DIR/..}
mkdir -p "$out" "$CARGO_TARGET_DIR"
out=$(cd "$out" && pwd -P)
built=$CARGO_TARGET_DIR/$target/release

# Times in packages are the commit's. What is built outside of a clone has to say its own.
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || true)}"
[ -n "$SOURCE_DATE_EPOCH" ] || die "this is no clone: set SOURCE_DATE_EPOCH to the time of what is built"
export SOURCE_DATE_EPOCH

# tool NAME VERSION: a cargo subcommand of exactly that version. Not optimised: it is compiled faster than it runs.
tool() {
    [ ! -x "$cache/$1-$2/bin/$1" ] || return 0
    say "building $1 $2"
    env -u SOURCE_DATE_EPOCH CARGO_TARGET_DIR="$cache/target" CARGO_PROFILE_DEV_DEBUG=0 \
        cargo install --quiet --locked --debug --root "$cache/$1-$2" --version "=$2" "$1" >&2 || die "cannot build $1 $2"
    rm -rf "$cache/target"
}

# zig and cargo-zigbuild, in a directory named after what they are, which is whole under that name.
python_tools() {
    wanted=$(printf '%s' "$PYTHON_TOOLS" | sha256sum | cut -c 1-16)
    zig=$cache/zig-$wanted
    [ ! -d "$zig" ] || return 0
    say "fetching zig and cargo-zigbuild"
    mkdir -p "$cache"
    rm -rf "$zig.new"
    python3 -m venv "$zig.new"
    printf '%s' "$PYTHON_TOOLS" >"$zig.new/requirements.txt"
    "$zig.new/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        -r "$zig.new/requirements.txt" >&2 || die "cannot fetch zig and cargo-zigbuild"
    mv -T "$zig.new" "$zig"
}

# The flags that keep this machine's paths out: of the tree, of each registry's sources, of the standard library's.
# Separated by the unit separator, as CARGO_ENCODED_RUSTFLAGS wants it, so that a path may have blanks.
rust_flags() {
    separator=$(printf '\037')
    flags="--remap-path-prefix=$tree=/walkeep"
    for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
        flags="$flags$separator--remap-path-prefix=$registry=/crates"
    done
    flags="$flags$separator--remap-path-prefix=$(rustc --print sysroot)/lib/rustlib/src/rust=/rust"
    flags="$flags$separator--remap-path-prefix=$CARGO_TARGET_DIR=/target"
    [ "$libc" != static ] || flags="$flags$separator-Ctarget-feature=+crt-static"
    printf '%s' "$flags"
}

build_binary() {
    if [ "$libc" = native ]; then
        say "building for this machine"
        # With a test, dependencies are what they are for all tests, and nothing is compiled anew.
        # The commit's time would compile zstd again, and once more for the next test.
        env -u SOURCE_DATE_EPOCH CARGO_TARGET_DIR="$shared" cargo build --locked --bin walkeep --test architecture
        mkdir -p "$built"
        strip -o "$built/walkeep" "$shared/debug/walkeep"
        return
    fi
    cargo fetch --quiet --locked --target "$target"
    CARGO_ENCODED_RUSTFLAGS=$(rust_flags)
    export CARGO_ENCODED_RUSTFLAGS
    say "building for $target ($libc)"
    if [ "$libc" = glibc ]; then
        python_tools
        PATH=$zig/bin:$PATH CARGO_ZIGBUILD_PYTHON_PATH=$zig/bin/python CARGO_ZIGBUILD_CACHE_DIR=$cache/zigbuild \
            cargo zigbuild --locked --release --bin walkeep --target "$target.$GLIBC"
    else
        cargo build --locked --release --bin walkeep --target "$target"
    fi
}

# The newest glibc that a symbol of the binary asks for; nothing where there is none.
newest_glibc() {
    LC_ALL=C readelf -W --version-info "$1" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -n 1
}

# What was built is what was meant: it asks for no newer glibc, or for none, and tells nobody's paths.
check_binary() {
    [ -x "$built/walkeep" ] || die "nothing was built in '$built'"
    newest=$(newest_glibc "$built/walkeep")
    case $libc in
        glibc)
            [ -n "$newest" ] && [ "$(printf '%s\n' "$newest" "$GLIBC" | sort -V | tail -n 1)" = "$GLIBC" ] ||
                die "the binary asks for glibc $newest, and may ask for $GLIBC at most"
            say "the newest symbol is of glibc $newest"
            ;;
        static)
            if LC_ALL=C readelf -W -d "$built/walkeep" | grep -q NEEDED; then die "the binary asks for shared libraries"; fi
            ;;
    esac
    [ "$libc" != native ] || return 0
    for path in "$tree" "$HOME" "${CARGO_HOME:-$HOME/.cargo}" "$CARGO_TARGET_DIR"; do
        if [ "$path" != / ] && grep -qaF "$path/" "$built/walkeep"; then die "the binary has the path '$path' in it"; fi
    done
}

# The licence of each crate that is linked in, with the texts that it brings.
third_party_licences() {
    echo "walkeep is built of these crates. Each is under the licence beside it; their own texts follow."
    echo
    crates=$(cargo tree --locked --edges normal --target "$target" --prefix none --format '{p} {l}' | grep -v '^walkeep ' |
        sed 's/ (proc-macro)//; s/ (\*)$//' | LC_ALL=C sort -u)
    printf '%s\n' "$crates"
    printf '%s\n' "$crates" | while read -r name crate_version _; do
        source=$(echo "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name-${crate_version#v}")
        # What is written in C lies a folder further down.
        for text in "$source"/LICEN[CS]E* "$source"/COPYING* "$source"/*/LICENSE; do
            [ -f "$text" ] || continue
            printf '\n---- %s: %s\n\n' "$name ${crate_version#v}" "${text##*/}"
            cat "$text"
        done
    done
}

# What is made before it is packed.
lay_out() {
    laid=$built/package
    rm -rf "$laid"
    mkdir -p "$laid/man" "$laid/archivecleanup"
    for page in man/*.1; do gzip -9nc "$page" >"$laid/man/${page##*/}.gz"; done
    # The program's own name is what makes it the drop-in.
    for name in pg_archivecleanup sys_archivecleanup; do ln -s ../../../bin/walkeep "$laid/archivecleanup/$name"; done
    third_party_licences | gzip -9n >"$laid/third-party-licences.gz"
    {
        echo "walkeep (${version:-$(sed -n '0,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml)}) unstable; urgency=medium"
        echo
        sed -n '/^- /,/^## /{/^## /!s/^/  /p}' CHANGELOG.md | sed 's/^  - /  * /'
        echo
        echo " -- the walkeep developers <walkeep@localhost>  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
    } | gzip -9n >"$laid/changelog.Debian.gz"
}

pack_deb() {
    tool cargo-deb "$CARGO_DEB"
    # To pack tightly takes longer than all the rest of a test.
    [ "$libc" != native ] || set -- --fast
    "$cache/cargo-deb-$CARGO_DEB/bin/cargo-deb" deb --quiet --no-build --no-strip --locked --target "$target" \
        --output "$out/" ${version:+--deb-version "$version"} "$@" >&2
}

pack_rpm() {
    tool cargo-generate-rpm "$CARGO_GENERATE_RPM"
    # --source-date holds back what is younger than the commit; in a clone from before it some files are older.
    find packaging docs README.md SECURITY.md LICENSE CHANGELOG.md completions -type f -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
    "$cache/cargo-generate-rpm-$CARGO_GENERATE_RPM/bin/cargo-generate-rpm" generate-rpm --target "$target" --auto-req no \
        --source-date "$SOURCE_DATE_EPOCH" --output "$out/" ${version:+--set-metadata "version = \"$version\""} "$@" >&2
}

if [ "$only" = tools ]; then
    tool cargo-deb "$CARGO_DEB"
    exit 0
fi
build_binary
check_binary
if [ "$only" = binary ]; then
    cp "$built/walkeep" "$out/walkeep"
    exit 0
fi
lay_out
set --
[ "$libc" != static ] || set -- --variant static
[ "$only" = rpm ] || pack_deb "$@"
[ "$only" = deb ] || pack_rpm "$@"
ls "$out"/walkeep[-_]*.*
