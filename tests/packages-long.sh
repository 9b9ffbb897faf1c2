# Sourced by packages.sh: what takes a compiler of its own.

say "building against glibc 2.17"
sh packaging/build.sh --out "$scratch/given" >/dev/null
dpkg-deb -x "$scratch"/given/*.deb "$scratch/given-tree"
same "no symbol is newer than glibc 2.17" "2.17" "$({
    readelf -W --version-info "$scratch/given-tree/usr/bin/walkeep" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//'
    echo 2.17
} | sort -V | tail -n 1)"
check "it runs" "$scratch/given-tree/usr/bin/walkeep" --version
same "the .deb asks for that glibc" "libc6 (>= 2.17)" "$(dpkg-deb -f "$scratch"/given/*.deb Depends)"

say "looking at the .rpm"
# Debian's rpm keeps its database in the home directory.
rpm() { HOME=$scratch command rpm "$@"; }
rpm=$(ls "$scratch"/given/*.rpm)
rpm -qlp "$rpm" 2>/dev/null >"$scratch/rpm-files"
brings_everything "$scratch/rpm-files" "the .rpm"
same "the .rpm asks for that glibc" "glibc >= 2.17" "$(rpm -qp --requires "$rpm" 2>/dev/null | grep '^glibc')"
same "its configuration is one that is kept" "/etc/walkeep/units.env" "$(rpm -qcp "$rpm" 2>/dev/null)"
mkdir "$scratch/rpm"
(cd "$scratch/rpm" && rpm2cpio "$rpm" | cpio -idm --quiet)
for file in usr/bin/walkeep etc/walkeep/units.env usr/share/doc/walkeep/walkeep.toml.sample; do
    check "both packages have the same $file" cmp "$scratch/rpm/$file" "$scratch/given-tree/$file"
done
look_at_files "$scratch/rpm"

say "installing the .rpm"
lay_out_host rpm-host "$scratch/rpm/usr/bin/walkeep"
mkdir -p "$root/var/lib/rpm"
in_rpm_root() { HOME=/root command rpm --root="$root" --nodeps "$@"; }
listing >"$scratch/before"
check "the .rpm installs" in_rpm_root -i "$rpm"
same "it enables and begins nothing" "daemon-reload" "$(calls)"
for name in pg_archivecleanup sys_archivecleanup; do
    same "the link $name is there" "../../../bin/walkeep" "$(readlink "$root/usr/lib/walkeep/bin/$name")"
done
check "the installed program runs" in_root /usr/bin/walkeep --version
echo 'WALKEEP_WATCH_FLAGS=--listen 9187' >"$root/etc/walkeep/units.env"
echo '# mine' >"$root/etc/walkeep/main.toml"
forget_calls
sh packaging/build.sh --only rpm --package-version 0.9.9 --out "$scratch/later" >/dev/null
check "a later version installs over it" in_rpm_root -U "$scratch"/later/*.rpm
same "an upgrade restarts the watches that run" "daemon-reload
try-restart walkeep-watch@*.service" "$(calls)"
same "an edited configuration is kept" "WALKEEP_WATCH_FLAGS=--listen 9187" "$(cat "$root/etc/walkeep/units.env")"
check "the links are still there" test -L "$root/usr/lib/walkeep/bin/pg_archivecleanup"
check "it can be removed" in_rpm_root -e walkeep
listing | grep -v -e '^./var/lib/rpm/' -e '^./root/.rpmdb/' -e '^./etc/walkeep/' >"$scratch/after"
check "nothing else is left" diff "$scratch/before" "$scratch/after"
check "the configuration that a person wrote stays" test -f "$root/etc/walkeep/main.toml"

say "building a static one"
sh packaging/build.sh --libc static --out "$scratch/static" >/dev/null
same "a static .deb asks for nothing" "" "$(dpkg-deb -f "$scratch"/static/*.deb Depends)"
dpkg-deb -x "$scratch"/static/*.deb "$scratch/static-tree"
# A host that has nothing at all.
mkdir "$scratch/empty"
cp "$scratch/static-tree/usr/bin/walkeep" "$scratch/empty/"
check "it runs where no library is" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$scratch/empty" /walkeep --version

say "building the same again elsewhere"
mkdir "$scratch/elsewhere"
git -c safe.directory="$tree" clone --quiet --no-hardlinks . "$scratch/elsewhere/another name"
sha256sum "$scratch"/given/*.deb "$scratch"/given/*.rpm | sed 's|  .*/|  |' >"$scratch/first"
if git diff --quiet HEAD; then
    CARGO_TARGET_DIR="$scratch/elsewhere/target" sh "$scratch/elsewhere/another name/packaging/build.sh" \
        --out "$scratch/again" >/dev/null
    (cd "$scratch/again" && sha256sum -- *.deb *.rpm) >"$scratch/second"
    check "two builds in two places give the same bytes" diff "$scratch/first" "$scratch/second"
else
    die "the tree has changes that are not committed: what a clone builds is something else"
fi

say "the shells' completions"
check "zsh reads its completions" zsh -fc "autoload -Uz compinit; compinit -D -u; . '$scratch/unpacked/usr/share/zsh/vendor-completions/_walkeep'"
check "fish reads its completions" fish --no-execute "$scratch/unpacked/usr/share/fish/vendor_completions.d/walkeep.fish"
