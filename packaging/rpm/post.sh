# Nothing is enabled and nothing begins here. Watches that run go on with the new program.
# cargo-generate-rpm packs no symbolic links: these are made here, and go in postun.
mkdir -p /usr/lib/walkeep/bin
ln -sf ../../../bin/walkeep /usr/lib/walkeep/bin/pg_archivecleanup
ln -sf ../../../bin/walkeep /usr/lib/walkeep/bin/sys_archivecleanup
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    # First argument: how many versions are installed now.
    [ "$1" -lt 2 ] || systemctl try-restart 'walkeep-watch@*.service' || true
fi
exit 0
