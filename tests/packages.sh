#!/bin/sh
# Installs, upgrades, removes and purges walkeep's packages in a tree of their own, and looks at what they bring.
#
#   sh tests/packages.sh          the .deb, of what cargo has built for the other tests
#   sh tests/packages.sh --long   .deb and .rpm as they are given away: against glibc 2.17, and static; and that two builds
#                                 in two places give the same bytes
#
# dpkg runs the packages' scripts in a chroot that has a shell and nothing else; systemctl there writes down how it is
# called. Has to be root. Nothing of this machine is changed.
set -eu

cd "$(dirname "$0")/.."
tree=$(pwd -P)
long=
[ "${1:-}" != --long ] || long=1
scratch=$(mktemp -d /tmp/walkeep-packages-XXXXXX)
clean_up() { rm -rf "$scratch"; }
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

passed=0
say() { printf '%s\n' "packages.sh: $*" >&2; }
die() { say "FAILED: $*"; exit 1; }
# check WHAT COMMAND...: one promise.
check() {
    what=$1
    shift
    "$@" >"$scratch/said" 2>&1 || { cat "$scratch/said" >&2; die "$what"; }
    passed=$((passed + 1))
}
# same WHAT EXPECTED FOUND
same() {
    [ "$2" = "$3" ] || die "$1: expected '$2', found '$3'"
    passed=$((passed + 1))
}

# with_libraries PROGRAM: copied into the tree, with what it is linked with.
with_libraries() {
    for file in "$1" $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
        mkdir -p "$root${file%/*}"
        cp -L "$file" "$root$file"
    done
}

# lay_out_host NAME PROGRAM: with a C library, a shell, and systemd, of which only systemctl is there.
lay_out_host() {
    root=$scratch/$1
    mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/var/log" "$root/tmp" "$root/dev" \
        "$root/run/systemd/system" "$root/etc/systemd/system" "$root/usr/bin" "$root/bin" "$root/lib"
    : >"$root/dev/null"
    for program in /bin/sh /bin/rm /bin/ln /bin/mkdir /bin/rmdir; do with_libraries "$program"; done
    # What the program needs beyond the shell's.
    with_libraries "$2"
    rm -f "$root$2"
    printf '#!/bin/sh\necho "$*" >>/calls\n' >"$root/bin/systemctl"
    chmod 755 "$root/bin/systemctl"
    printf 'Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMaintainer: x\nVersion: 2.31\nDescription: x\n\n' \
        >"$root/var/lib/dpkg/status"
}

# What is there, but for dpkg's own files and what the host wrote down.
listing() { (cd "$root" && find . -path ./var/lib/dpkg -prune -o ! -type d ! -path ./calls ! -path ./var/log/dpkg.log -print | LC_ALL=C sort); }
package() { dpkg --root="$root" --log=/dev/null --force-confdef --force-confold --force-not-root "$@"; }
in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"; }
as_user() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot --userspec=1000:1000 "$root" "$@"; }
calls() { cat "$root/calls" 2>/dev/null || true; }
forget_calls() { rm -f "$root/calls"; }
is_gone() { [ ! -e "$1" ] && [ ! -L "$1" ]; }

# Whatever lies in the folders is in the package: FILES lists that with paths from the root.
brings_everything() {
    for unit in packaging/systemd/*; do grep -q "/systemd/system/${unit##*/}$" "$1" || die "$2 lacks $unit"; done
    for script in packaging/switchover/*; do grep -q "^/usr/share/walkeep/switchover/${script##*/}$" "$1" || die "$2 lacks $script"; done
    for job in packaging/cron/*; do grep -q "^/usr/share/doc/walkeep/examples/cron/${job##*/}$" "$1" || die "$2 lacks $job"; done
    for page in man/*.1; do grep -q "^/usr/share/man/man1/${page##*/}.gz$" "$1" || die "$2 lacks $page"; done
    for page in docs/*.md; do grep -q "^/usr/share/doc/walkeep/docs/${page##*/}" "$1" || die "$2 lacks $page"; done
    for page in README.md SECURITY.md; do grep -q "^/usr/share/doc/walkeep/$page" "$1" || die "$2 lacks $page"; done
    for file in /usr/bin/walkeep /etc/walkeep/units.env /usr/share/doc/walkeep/walkeep.toml.sample \
        /usr/share/bash-completion/completions/walkeep /usr/share/fish/vendor_completions.d/walkeep.fish \
        /usr/share/doc/walkeep/third-party-licences.gz; do
        grep -q "^$file$" "$1" || die "$2 lacks $file"
    done
    grep -q '/_walkeep$' "$1" || die "$2 lacks the completions of zsh"
    passed=$((passed + 1))
}

# install_upgrade_remove OLD NEW: the life of a package on a host.
install_upgrade_remove() {
    listing >"$scratch/before"
    check "the package installs" package -i "$1"
    same "an installation enables and begins nothing" "daemon-reload" "$(calls)"
    dpkg-deb -c "$1" | sed 's/ -> .*//; s/.* \.//' >"$scratch/files"
    brings_everything "$scratch/files" "the .deb"
    check "the installed program runs" in_root /usr/bin/walkeep --version
    for name in pg_archivecleanup sys_archivecleanup; do
        check "the link $name is the drop-in" in_root "/usr/lib/walkeep/bin/$name" --version
        grep -q "$name" "$scratch/said" || die "$name is called '$(cat "$scratch/said")'"
        is_gone "$root/usr/bin/$name" || die "$name is laid into the way of the server's own"
    done
    check "every file is root's, and nobody else may write it" \
        sh -c '! tar --numeric-owner -tvf "$1" | grep -v "^l" | grep -v "^[-d]....-..-. 0/0 "' - "$scratch/data.tar"

    # What a person does with it.
    mkdir -p "$root/archive" "$root/data/main"
    chown 1000:1000 "$root/archive" "$root/data/main"
    check "a repository is made" as_user /usr/bin/walkeep init --repo /archive/main
    cp "$root/usr/share/doc/walkeep/walkeep.toml.sample" "$root/etc/walkeep/main.toml"
    as_user /usr/bin/walkeep status --config /etc/walkeep/main.toml -o json >"$scratch/status" 2>&1 || true
    if grep -q 'config file' "$scratch/status"; then die "the sample is refused: $(cat "$scratch/status")"; fi
    echo 'WALKEEP_WATCH_FLAGS=--listen 9187' >"$root/etc/walkeep/units.env"
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -s /lib/systemd/system/walkeep-watch@.service "$root/etc/systemd/system/multi-user.target.wants/walkeep-watch@main.service"
    find "$root/archive" -type f -exec sha256sum {} + >"$scratch/archive"
    [ -s "$scratch/archive" ] || die "the repository is empty"

    forget_calls
    check "a later version installs over it" package -i "$2"
    same "an upgrade restarts the watches that run" "daemon-reload
try-restart walkeep-watch@*.service" "$(calls)"
    same "an edited configuration is kept" "WALKEEP_WATCH_FLAGS=--listen 9187" "$(cat "$root/etc/walkeep/units.env")"
    same "the later version is installed" "0.9.9" "$(package -s walkeep | sed -n 's/^Version: //p')"

    forget_calls
    check "it can be removed" package -r walkeep
    same "a removal ends what runs" "stop walkeep-prune@*.timer walkeep-verify@*.timer
stop walkeep-watch@*.service walkeep-prune@*.service walkeep-verify@*.service
daemon-reload" "$(calls)"
    check "the program is gone" is_gone "$root/usr/bin/walkeep"
    check "its configuration stays" test -f "$root/etc/walkeep/units.env"
    check "it can be purged" package -P walkeep
    check "the repository is untouched" sha256sum -c --quiet "$scratch/archive"
    check "what was enabled is gone" is_gone "$root/etc/systemd/system/multi-user.target.wants/walkeep-watch@main.service"
    check "the configuration that a person wrote stays" test -f "$root/etc/walkeep/main.toml"
    listing | grep -v -e '^./archive/' -e '^./etc/walkeep/main.toml$' >"$scratch/after"
    check "nothing else is left" diff "$scratch/before" "$scratch/after"
}

# What an unpacked package holds is in order, wherever its shell is.
look_at_files() {
    check "systemd takes every unit" verify_units "$1"
    for page in "$1"/usr/share/man/man1/*.gz; do
        check "$page is shown without a warning" man_page_is_clean "$page"
    done
    check "bash completes" bash -ec ". '$1/usr/share/bash-completion/completions/walkeep'
        complete -p walkeep >/dev/null; COMP_WORDS=(walkeep ver); COMP_CWORD=1; COMP_LINE='walkeep ver'
        _walkeep walkeep ver walkeep; [ \"\${COMPREPLY[*]}\" = verify ]"
    for script in "$1"/usr/share/walkeep/switchover/*.sh; do check "$script is sound" sh -n "$script"; done
}

man_page_is_clean() {
    MANROFFOPT='' MANWIDTH=100 LC_ALL=C.UTF-8 man --warnings=w -l "$1" >"$scratch/page" 2>"$scratch/warnings"
    cat "$scratch/warnings" && [ ! -s "$scratch/warnings" ] && [ -s "$scratch/page" ]
}

# The program and the manual lie elsewhere here: that alone is no fault of a unit.
verify_units() {
    mkdir -p "$scratch/units"
    for unit in "$1"/lib/systemd/system/* "$1"/usr/lib/systemd/system/*; do
        [ -f "$unit" ] || continue
        file=${unit##*/}
        sed "s|/usr/bin/walkeep|$1/usr/bin/walkeep|" "$unit" >"$scratch/units/$(printf '%s' "$file" | sed 's/@/@main/')"
    done
    SYSTEMD_UNIT_PATH="$scratch/units:" systemd-analyze verify --man=no --recursive-errors=no "$scratch"/units/* 2>&1 |
        tee "$scratch/verified"
    [ ! -s "$scratch/verified" ] || return 1
    # 10 is a service that may do anything; systemd calls what stays under 4 well protected.
    for unit in "$scratch"/units/*.service; do
        systemd-analyze security --offline=true --threshold=25 --no-pager "$unit" || return 1
    done
}

[ "$(id -u)" = 0 ] || die "it has to be root: dpkg changes into a tree of its own"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$tree/target}"
say "building"
sh packaging/build.sh --libc native --only deb --out "$scratch/old" >/dev/null
sh packaging/build.sh --libc native --only deb --out "$scratch/new" --package-version 0.9.9 >/dev/null
dpkg-deb --fsys-tarfile "$scratch"/old/*.deb >"$scratch/data.tar"
say "installing"
mkdir "$scratch/unpacked"
tar -xf "$scratch/data.tar" -C "$scratch/unpacked"
lay_out_host host "$scratch/unpacked/usr/bin/walkeep"
install_upgrade_remove "$scratch"/old/*.deb "$scratch"/new/*.deb
look_at_files "$scratch/unpacked"
[ -z "$long" ] || . tests/packages-long.sh
echo "$passed passed, 0 failed"
