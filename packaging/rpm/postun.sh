# Configurations in /etc/walkeep that somebody wrote stay, and so do repositories.
if [ "$1" -eq 0 ]; then
    rm -f /usr/lib/walkeep/bin/pg_archivecleanup /usr/lib/walkeep/bin/sys_archivecleanup
    rmdir /usr/lib/walkeep/bin /usr/lib/walkeep 2>/dev/null || true
    [ ! -d /run/systemd/system ] || systemctl daemon-reload || true
fi
exit 0
